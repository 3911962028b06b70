// Clustering anew, and the clusterings there are.

import { useState } from "preact/hooks";

import { clusterings, patiently, requestId } from "../api";
import { useAnswer } from "../parts/answer";
import { complain, say } from "../parts/notices";
import { collection, linkTo, reviewer } from "../session";
import { count, counted, fixed, moment } from "../words";
import { ALGORITHMS, redFlagWords } from "./algorithms";

const PAGE = 100;

export function ClusterPanel({ running, onStarted }: { running: boolean; onStarted: () => void }) {
  const [name, setName] = useState("auto");
  const algorithm = ALGORITHMS.find((one) => one.name === name) ?? ALGORITHMS[0];
  const start = async (form: HTMLFormElement) => {
    const typed = new FormData(form);
    const values: Record<string, number> = {};
    for (const { name } of algorithm?.fields ?? []) {
      const text = String(typed.get(name) ?? "").trim();
      if (text) values[name] = Number(text);
    }
    const parameters = algorithm?.parameters(values);
    const request = {
      collection: collection.value,
      seed: BigInt(String(typed.get("seed") ?? "0").trim() || "0"),
      keepActive: typed.get("activate") === null,
      actor: reviewer.value,
      requestId: requestId(),
      ...(parameters ? { parameters } : {}),
    };
    try {
      await patiently(() => clusterings.recluster(request));
      onStarted();
    } catch (error) {
      complain(error);
    }
  };
  return (
    <section class="panel" aria-labelledby="cluster-title">
      <h2 id="cluster-title">Cluster anew</h2>
      <form
        class="fields"
        onSubmit={(event) => {
          event.preventDefault();
          void start(event.currentTarget);
        }}
      >
        <label>
          <span>Algorithm</span>
          <select value={name} onChange={({ currentTarget }) => setName(currentTarget.value)}>
            {ALGORITHMS.map((one) => (
              <option key={one.name}>{one.name}</option>
            ))}
          </select>
        </label>
        {algorithm?.fields.map((field) => (
          <label key={`${name}.${field.name}`}>
            <span>{field.label}</span>
            <input name={field.name} type="number" min={field.min} max={field.max} step={field.step} placeholder="from the data" />
          </label>
        ))}
        <label>
          <span>Seed</span>
          <input name="seed" type="number" min={0} max={Number.MAX_SAFE_INTEGER} step={1} placeholder="0" />
        </label>
        <label class="check">
          <input name="activate" type="checkbox" defaultChecked /> make the result the active one
        </label>
        <button type="submit" class="primary" disabled={running}>
          {running ? "Clustering …" : "Cluster"}
        </button>
      </form>
      <p class="muted">
        <b>{name}</b> {algorithm?.words}. Verdicts stay as they are, whatever the clusters.
      </p>
    </section>
  );
}

export function HistoryPanel({ round, onChanged }: { round: number; onChanged: () => void }) {
  const name = collection.value;
  const found = useAnswer(() => clusterings.listClusterings({ collection: name, pageSize: PAGE }), [name, round]);
  const activate = async (clusteringId: bigint) => {
    try {
      await patiently(() => clusterings.activateClustering({ collection: name, clusteringId, actor: reviewer.value, requestId: requestId() }));
      say(`Clustering ${clusteringId} is the active one now.`);
    } catch (error) {
      complain(error);
    }
    found.reload();
    onChanged();
  };
  const all = found.value?.clusterings ?? [];
  return (
    <section class="panel" aria-labelledby="history-title">
      <h2 id="history-title">Clusterings</h2>
      {found.failure && <p role="alert">{found.failure}</p>}
      {found.value && all.length === 0 && <p class="muted">None yet.</p>}
      {all.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Clusterings">
          <ol class="log">
            {all.map((one) => (
              <li key={String(one.clusteringId)} title={one.explanation.join(" ")}>
                <div>
                  <span class="muted">#{String(one.clusteringId)}</span> <b>{one.algorithm}</b>: {counted(one.clusters, "cluster")}, {count(one.noise)} noise
                  {one.redFlags.map((flag) => (
                    <span class="tag bad">{redFlagWords(flag)}</span>
                  ))}
                  <p class="muted">
                    {moment(one.createTime)}, in {fixed(one.seconds, 1)} s
                  </p>
                </div>
                {one.active ? (
                  <a href={linkTo({ view: "clusters" })}>active</a>
                ) : (
                  <button type="button" aria-label={`Activate clustering ${one.clusteringId}`} onClick={() => void activate(one.clusteringId)}>
                    Activate
                  </button>
                )}
              </li>
            ))}
          </ol>
        </div>
      )}
      {all.find((one) => one.active) && <Why lines={all.find((one) => one.active)?.explanation ?? []} />}
    </section>
  );
}

function Why({ lines }: { lines: string[] }) {
  if (lines.length === 0) return null;
  return (
    <details>
      <summary>Why the active one is as it is ({counted(lines.length, "reason")})</summary>
      <ul>
        {lines.map((line) => (
          <li>{line}</li>
        ))}
      </ul>
    </details>
  );
}
