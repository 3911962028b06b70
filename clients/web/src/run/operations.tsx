// Long work: its progress, wherever it was started from, and its end.

import { useEffect, useState } from "preact/hooks";

import { admin, patiently } from "../api";
import type { Operation } from "../gen/culld/v1/operation_pb";
import { useAnswer } from "../parts/answer";
import { complain } from "../parts/notices";
import { collection } from "../session";
import { count, counted, fixed, moment } from "../words";

const LISTED = 8;

const METHODS: Record<string, string> = { Recluster: "Clustering", ImportSources: "Importing", Verify: "Verifying" };

interface OperationsPanelProps {
  round: number;
  onRunning: (methods: string[]) => void;
  onDone: () => void;
}

export function OperationsPanel({ round, onRunning, onDone }: OperationsPanelProps) {
  const name = collection.value;
  const found = useAnswer(() => admin.listOperations({ collection: name, pageSize: LISTED }), [name, round]);
  const all = found.value?.operations ?? [];
  const running = all.filter((one) => !one.done);
  useEffect(() => onRunning(running.map((one) => one.method)), [running.map((one) => one.name).join()]);
  const done = () => {
    found.reload();
    onDone();
  };
  if (all.length === 0) return null;
  return (
    <section class="panel" aria-labelledby="work-title">
      <h2 id="work-title">Work</h2>
      <ul class="work">
        {all.map((one) => (
          <li key={one.name}>{one.done ? <Ended operation={one} /> : <Running first={one} onDone={done} />}</li>
        ))}
      </ul>
    </section>
  );
}

function title(operation: Operation): string {
  return METHODS[operation.method] ?? operation.method;
}

/** Follows an operation until it is done, also over a daemon's absence. */
function Running({ first, onDone }: { first: Operation; onDone: () => void }) {
  const [now, setNow] = useState(first);
  useEffect(() => {
    const stop = new AbortController();
    const follow = async () => {
      for await (const { operation } of admin.watchOperation({ name: first.name }, { signal: stop.signal })) {
        if (operation) setNow(operation);
      }
    };
    patiently(follow, stop.signal).then(onDone, (error: unknown) => {
      if (stop.signal.aborted) return;
      complain(error);
      onDone();
    });
    return () => stop.abort();
  }, [first.name]);
  const cancel = () => patiently(() => admin.cancelOperation({ name: first.name })).catch(complain);
  const known = now.workTotal > 0n;
  return (
    <div class="progress">
      <p role="status">
        <b>{title(now)}</b>: {now.phase} {known ? `${count(now.workDone)} of ${count(now.workTotal)}` : ""}
      </p>
      <progress {...(known ? { value: Number(now.workDone), max: Number(now.workTotal) } : {})} aria-label={title(now)} />
      <button type="button" onClick={() => void cancel()}>
        Cancel
      </button>
    </div>
  );
}

function outcome(operation: Operation): string {
  switch (operation.result.case) {
    case "clustering": {
      const { algorithm, clusters, noise, seconds } = operation.result.value;
      return `${counted(clusters, "cluster")} by ${algorithm}, ${count(noise)} noise, in ${fixed(seconds, 1)} s`;
    }
    case "import": {
      const { added, alreadyPresent, rejected, failed } = operation.result.value;
      return `${count(added)} added, ${count(alreadyPresent)} were there, ${count(rejected)} can't be added, ${count(failed)} failed`;
    }
    case "verify":
      return `${counted(operation.result.value.problems, "problem")}`;
    case "error":
      return operation.result.value.message;
    default:
      return "done";
  }
}

function Ended({ operation }: { operation: Operation }) {
  const problems = operation.result.case === "import" ? operation.result.value.problems : [];
  return (
    <div>
      <b>{title(operation)}</b> <span class={operation.result.case === "error" ? "bad" : ""}>{outcome(operation)}</span>{" "}
      <span class="muted">{moment(operation.endTime)}</span>
      {problems.length > 0 && (
        <details>
          <summary>What was not added, and why</summary>
          <ul class="problems">
            {problems.map(({ path, detail }) => (
              <li>
                <bdi>{path}</bdi>: {detail}
              </li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}
