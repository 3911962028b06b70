// The parameter card: what the pictures say of themselves, and what each radius would give.

import { useState } from "preact/hooks";

import { clusterings, patiently, plain } from "../api";
import type { EpsLook, ParameterCard, Parameters } from "../gen/culld/v1/clustering_pb";
import { redFlagWords } from "../run/algorithms";
import { collection } from "../session";
import { count, counted, fixed, share } from "../words";
import { Curve } from "./curve";

interface CardPanelProps {
  onDbscan: (eps: number, minPoints: number) => void;
}

export function CardPanel({ onDbscan }: CardPanelProps) {
  const [card, setCard] = useState<ParameterCard | null>(null);
  const [looking, setLooking] = useState(false);
  const [failure, setFailure] = useState("");
  const look = async () => {
    setLooking(true);
    setFailure("");
    try {
      const answer = await patiently(() => clusterings.suggestParameters({ collection: collection.value }));
      setCard(answer.card ?? null);
    } catch (error) {
      setFailure(plain(error));
    }
    setLooking(false);
  };
  return (
    <section class="panel" aria-labelledby="card-title">
      <h2 id="card-title">What would each radius give?</h2>
      <p class="row">
        <button type="button" class="primary" disabled={looking} onClick={() => void look()}>
          {looking ? "Looking …" : "Look at the pictures"}
        </button>
        <span class="muted">Takes about as long as a clustering, and changes nothing.</span>
      </p>
      {failure && <p role="alert">{failure}</p>}
      {card && <Card card={card} onDbscan={onDbscan} />}
    </section>
  );
}

function Card({ card, onDbscan }: { card: ParameterCard } & CardPanelProps) {
  return (
    <>
      <Curve distances={card.kDistances} knee={card.knee} marks={card.looks.map((one) => one.eps)} />
      <p>
        Clustering tendency <b>{fixed(card.clusteringTendency)}</b> <span class="muted">(0.5: a cloud without groups, 1: tight groups)</span>
        {card.choice && (
          <>
            ; auto would choose <b>{choiceWords(card.choice)}</b>
          </>
        )}
      </p>
      <div class="scroll" tabIndex={0} role="region" aria-label="Radii">
        <table>
          <thead>
            <tr>
              <th scope="col" class="number">
                Radius
              </th>
              <th scope="col">
                <span class="sr">Use</span>
              </th>
              <th scope="col" class="number">
                Clusters
              </th>
              <th scope="col" class="number">
                Noise
              </th>
              <th scope="col" class="number">
                Core
              </th>
              <th scope="col" class="number">
                Largest
              </th>
            </tr>
          </thead>
          <tbody>
            {card.looks.map((one) => (
              <Look key={one.eps} look={one} isKnee={one.eps === card.knee} onUse={() => onDbscan(one.eps, card.minPoints)} />
            ))}
          </tbody>
        </table>
      </div>
      {card.optics && (
        <p class="muted">
          OPTICS would give {counted(card.optics.xiClusters, "cluster")} by steepness ({share(card.optics.xiNoiseShare)} noise), {count(card.optics.cutClusters)} by a
          cut at the knee ({share(card.optics.cutNoiseShare)} noise).
        </p>
      )}
      <details>
        <summary>Why</summary>
        <ul>
          {card.explanation.map((line) => (
            <li>{line}</li>
          ))}
        </ul>
      </details>
    </>
  );
}

function Look({ look, isKnee, onUse }: { look: EpsLook; isKnee: boolean; onUse: () => void }) {
  return (
    <>
      <tr class={look.redFlags.length > 0 ? "flagged" : ""}>
        <td class="number">
          {fixed(look.eps, 3)}
          {isKnee && <span class="tag">knee</span>}
        </td>
        <td>
          <button type="button" aria-label={`Cluster by DBSCAN at ${fixed(look.eps, 3)}`} onClick={onUse}>
            DBSCAN
          </button>
        </td>
        <td class="number">{count(look.clusters)}</td>
        <td class="number">{share(look.noiseShare)}</td>
        <td class="number">{share(look.coreShare)}</td>
        <td class="number">{share(look.largestShare)}</td>
      </tr>
      {look.redFlags.length > 0 && (
        <tr>
          <td class="bad" colSpan={6}>
            ⚑ {look.redFlags.map(redFlagWords).join("; ")}
          </td>
        </tr>
      )}
    </>
  );
}

function choiceWords({ algorithm }: Parameters): string {
  const names: Record<string, string> = { kMeans: "k-means", kMedoids: "k-medoids" };
  const name = names[algorithm.case ?? ""] ?? algorithm.case ?? "nothing";
  const values = Object.entries(algorithm.value ?? {}).filter(([key, value]) => !key.startsWith("$") && key !== "start" && typeof value === "number" && value !== 0);
  const said = values.map(([key, value]) => `${key} ${Number.isInteger(value) ? String(value) : fixed(Number(value), 3)}`);
  return [name, ...said].join(" ");
}
