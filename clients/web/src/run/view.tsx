// Run: what goes in, how it is grouped, and how well it is sorted.

import { useCallback, useState } from "preact/hooks";

import { admin } from "../api";
import { useAnswer } from "../parts/answer";
import { collection } from "../session";
import { bytes, count } from "../words";
import { AddPanel } from "./add";
import { ClusterPanel, HistoryPanel } from "./cluster";
import { CollectionsPanel } from "./collections";
import { EvaluatePanel } from "./evaluate";
import { LogPanel } from "./log";
import { OperationsPanel } from "./operations";
import { PolicyPanel } from "./policy";

export function RunView() {
  const [round, setRound] = useState(0);
  const [running, setRunning] = useState<string[]>([]);
  const again = useCallback(() => setRound((round) => round + 1), []);
  return (
    <main class="run">
      <h1 class="sr">Run</h1>
      <Stats round={round} />
      <div class="columns">
        <div>
          <AddPanel onAdded={again} onStarted={again} />
          <ClusterPanel running={running.includes("Recluster")} onStarted={again} />
        </div>
        <div>
          <OperationsPanel round={round} onRunning={setRunning} onDone={again} />
          <HistoryPanel round={round} onChanged={again} />
          <LogPanel round={round} onChanged={again} />
        </div>
        <div>
          <EvaluatePanel />
          <PolicyPanel />
          <CollectionsPanel round={round} onChanged={again} />
        </div>
      </div>
    </main>
  );
}

function Stats({ round }: { round: number }) {
  const name = collection.value;
  const { value, failure } = useAnswer(() => admin.getStats({ collection: name }), [name, round]);
  if (failure) return <p role="alert">{failure}</p>;
  if (!value) return <p class="muted">…</p>;
  const facts: [string, string, string?][] = [
    ["Pictures", count(value.images)],
    ["Keep", count(value.decidedKeep), "keep"],
    ["Discard", count(value.decidedDiscard), "discard"],
    ["In doubt", count(value.inReview), "review"],
    ["Judgements", count(value.judgements)],
    ["Bulk verdicts", count(value.bulkVerdicts)],
    ["Clusters", count(value.clusters)],
    ["On disk", bytes(value.diskBytes)],
  ];
  return (
    <dl class="stats">
      {facts.map(([title, fact, tone]) => (
        <div key={title} class={tone}>
          <dt>{title}</dt>
          <dd>{fact}</dd>
        </div>
      ))}
    </dl>
  );
}
