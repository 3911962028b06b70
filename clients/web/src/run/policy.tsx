import { collections, patiently, requestId } from "../api";
import { DecisionKind } from "../gen/culld/v1/decision_pb";
import { useAnswer } from "../parts/answer";
import { complain, say } from "../parts/notices";
import { collection, reviewer } from "../session";

const FIELDS = [
  { name: "standingMargin", label: "Margin of the nearer side (distance)", min: 0, max: 2 },
  { name: "standingRadius", label: "Reach of a single verdict (distance)", min: 0, max: 2 },
  { name: "inheritanceQuorum", label: "Labelled share to inherit", min: 0, max: 1 },
  { name: "inheritanceAgreement", label: "Agreement to inherit", min: 0.5, max: 1 },
  { name: "doubtThreshold", label: "How sure doubt must be (probability)", min: 0.5, max: 1 },
  { name: "duplicateDistance", label: "Reach of near-duplicates (distance; 0: none)", min: 0, max: 2 },
  { name: "duplicateHashDistance", label: "Reach of near-duplicates (hash)", min: 0, max: 0.5 },
  { name: "precisionWeight", label: "Weight of precision", min: 0, max: 1 },
  { name: "reclusterGrowth", label: "Cluster anew on growth by (share; 0: never)", min: 0, max: 100 },
  { name: "reclusterNoise", label: "Cluster anew on noise above (share; 0: never)", min: 0, max: 1 },
  { name: "reclusterHours", label: "Cluster anew after (hours; 0: never)", min: 0, max: 8760 },
] as const;

/** The knobs of decisions; every one has a default that works. */
export function PolicyPanel() {
  const name = collection.value;
  const found = useAnswer(() => collections.getPolicy({ collection: name }), [name]);
  const policy = found.value?.policy;
  const set = async (form: HTMLFormElement) => {
    const typed = new FormData(form);
    const values = Object.fromEntries(FIELDS.flatMap(({ name }) => (typed.get(name) ? [[name, Number(typed.get(name))]] : [])));
    const answerInReview = typed.get("answer") === "keep" ? DecisionKind.KEEP : DecisionKind.REVIEW;
    try {
      const request = { collection: name, policy: { ...values, answerInReview }, actor: reviewer.value, requestId: requestId() };
      const answer = await patiently(() => collections.setPolicy(request));
      say(`Policy ${answer.policy?.version ?? ""} is in force.`);
      found.reload();
    } catch (error) {
      complain(error);
    }
  };
  return (
    <section class="panel" aria-labelledby="policy-title">
      <h2 id="policy-title">Policy {policy && <span class="muted">version {String(policy.version)}</span>}</h2>
      {found.failure && <p role="alert">{found.failure}</p>}
      {policy && (
        <form
          key={String(policy.version)}
          class="fields"
          onSubmit={(event) => {
            event.preventDefault();
            void set(event.currentTarget);
          }}
        >
          {FIELDS.map(({ name, label, min, max }) => (
            <label key={name}>
              <span>{label}</span>
              <input name={name} type="number" min={min} max={max} step="any" defaultValue={String(policy[name] ?? "")} />
            </label>
          ))}
          <label>
            <span>Answer while in doubt</span>
            <select name="answer" defaultValue={policy.answerInReview === DecisionKind.KEEP ? "keep" : "review"}>
              <option>review</option>
              <option>keep</option>
            </select>
          </label>
          <button type="submit">Set</button>
        </form>
      )}
    </section>
  );
}
