// The log: everything that was said or done, and a way to take it back.

import { useEffect, useState } from "preact/hooks";

import { decisions, patiently, requestId } from "../api";
import type { LogEntry } from "../gen/culld/v1/decision_pb";
import { EventKind } from "../gen/culld/v1/decision_pb";
import { complain, say } from "../parts/notices";
import { collection, reviewer } from "../session";
import { count, counted, moment } from "../words";

/** Entries that are listed at a time. */
const PAGE = 25;

const KINDS: [EventKind, string][] = [
  [EventKind.ANSWER, "answers"],
  [EventKind.VERDICT, "verdicts"],
  [EventKind.UNDO, "undos"],
  [EventKind.ACTIVATION, "clusterings"],
  [EventKind.POLICY, "policies"],
  [EventKind.DELETION, "deletions"],
];
/** What can be taken back; deletions can't. */
const UNDOABLE = new Set([EventKind.ANSWER, EventKind.VERDICT, EventKind.UNDO]);

interface Listed {
  entries: LogEntry[];
  next: string;
}

export function LogPanel({ round, onChanged }: { round: number; onChanged: () => void }) {
  const name = collection.value;
  const [kind, setKind] = useState<EventKind>(EventKind.UNSPECIFIED);
  const [listed, setListed] = useState<Listed | null>(null);
  const list = async (pageToken: string, signal?: AbortSignal) => {
    const kinds = kind === EventKind.UNSPECIFIED ? [] : [kind];
    const page = await patiently(() => decisions.listEvents({ collection: name, kinds, pageSize: PAGE, pageToken }), signal);
    if (signal?.aborted) return;
    setListed((before) => ({ entries: [...(pageToken && before ? before.entries : []), ...page.events], next: page.nextPageToken }));
  };
  useEffect(() => {
    const stop = new AbortController();
    list("", stop.signal).catch((error: unknown) => !stop.signal.aborted && complain(error));
    return () => stop.abort();
  }, [name, kind, round]);
  const undo = async (sequence: bigint) => {
    try {
      const request = { collection: name, eventSequence: sequence, actor: reviewer.value, requestId: requestId() };
      const taken = await patiently(() => decisions.undoEvent(request));
      say(`Event ${sequence} taken back: ${counted(taken.changed, "decision")} changed.`);
      onChanged();
    } catch (error) {
      complain(error);
    }
  };
  return (
    <section class="panel" aria-labelledby="log-title">
      <div class="row">
        <h2 id="log-title" class="grow">
          Log
        </h2>
        <label>
          <span class="sr">Which entries</span>
          <select value={String(kind)} onChange={({ currentTarget }) => setKind(Number(currentTarget.value))}>
            <option value={String(EventKind.UNSPECIFIED)}>everything</option>
            {KINDS.map(([one, word]) => (
              <option key={one} value={String(one)}>
                {word}
              </option>
            ))}
          </select>
        </label>
      </div>
      {listed?.entries.length === 0 && <p class="muted">Nothing was said yet.</p>}
      {listed && listed.entries.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Log">
          <ol class="log">
            {listed.entries.map((entry) => (
              <Entry key={entry.hash} entry={entry} onUndo={undo} />
            ))}
          </ol>
          {listed.next && (
            <button type="button" onClick={() => void list(listed.next).catch(complain)}>
              Older ones
            </button>
          )}
        </div>
      )}
    </section>
  );
}

function Entry({ entry, onUndo }: { entry: LogEntry; onUndo: (sequence: bigint) => Promise<void> }) {
  const { event, kind } = entry;
  if (!event) return null;
  const undone = entry.undoneBySequence;
  const facts = [
    entry.seenImages > 0n && `${count(entry.seenImages)} seen`,
    entry.impliedImages > 0n && `${count(entry.impliedImages)} implied`,
    entry.exceptionImages > 0n && counted(entry.exceptionImages, "exception"),
    entry.deletedImages > 0n && `${count(entry.deletedImages)} deleted`,
    undone !== undefined && `taken back by #${undone}`,
  ].filter(Boolean);
  return (
    <li class={undone === undefined ? "" : "undone"}>
      <div>
        <span class="muted">#{String(event.sequence)}</span> <span class="summary">{event.summary}</span>
        <p class="muted">
          {moment(event.time)}, <bdi>{event.actor || "somebody"}</bdi>
          {facts.length > 0 && `; ${facts.join(", ")}`}
        </p>
        {event.note && (
          <q>
            <bdi>{event.note}</bdi>
          </q>
        )}
      </div>
      {UNDOABLE.has(kind) && undone === undefined && (
        <button type="button" aria-label={`Undo event ${event.sequence}`} onClick={() => void onUndo(event.sequence)}>
          Undo
        </button>
      )}
    </li>
  );
}
