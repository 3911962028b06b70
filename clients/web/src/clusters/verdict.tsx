// A verdict on clusters or on pictures: first what it would change, then the verdict.

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";

import { decisions, patiently, plain, requestId } from "../api";
import { Side } from "../gen/culld/v1/decision_pb";
import type { PreviewVerdictResponse } from "../gen/culld/v1/decision_service_pb";
import { Dialog } from "../parts/dialog";
import { complain, say } from "../parts/notices";
import { Picture } from "../parts/picture";
import { collection, reviewer } from "../session";
import { bytes, count, counted, sideWord } from "../words";
import { exceptionsOf, NOISE, unmark } from "./groups";
import type { Group } from "./groups";

/** What a verdict is said of. */
interface Subject {
  name: string;
  size: number;
  exceptions: readonly string[];
  target: { case: "cluster"; value: { clusteringId: bigint; generation: bigint; clusterId?: bigint } } | { case: "images"; value: { imageIds: string[] } };
  /** The cluster whose marks are said with it. */
  key?: string;
}

interface Proposal {
  side: Side;
  subjects: Subject[];
  onDone: () => void;
}

/** Clusters that one act may be about. */
export const CHOSEN_MAX = 100;
/** Pictures that one act may be about. */
const IMAGES_MAX = 10_000;
/** Doubtful pictures that are shown. */
const DOUBTFUL_SHOWN = 24;
const NOTE_CHARACTERS_MAX = 1000;

const proposal = signal<Proposal | null>(null);

export function propose({ side, groups, onDone }: { side: Side; groups: Group[]; onDone: () => void }): void {
  if (groups.length > CHOSEN_MAX) {
    say(`At most ${CHOSEN_MAX} clusters at a time.`);
    return;
  }
  if (groups.length > 0) proposal.value = { side, subjects: groups.map(ofGroup), onDone };
}

/** A verdict on pictures, each of which counts as looked at. */
export function proposeImages({ side, images, onDone }: { side: Side; images: string[]; onDone: () => void }): void {
  if (images.length > IMAGES_MAX) {
    say(`At most ${count(IMAGES_MAX)} pictures at a time.`);
    return;
  }
  const subject: Subject = { name: "what is selected", size: images.length, exceptions: [], target: { case: "images", value: { imageIds: images } } };
  if (images.length > 0) proposal.value = { side, subjects: [subject], onDone };
}

function ofGroup({ key, id, clusteringId, generation, size }: Group): Subject {
  const value = { clusteringId, generation, ...(id === undefined ? {} : { clusterId: id }) };
  return { name: key === NOISE ? "the noise" : `cluster ${key}`, size, exceptions: [...exceptionsOf(key)], target: { case: "cluster", value }, key };
}

export function VerdictDialog() {
  const { value } = proposal;
  return value && <Asking proposal={value} />;
}

/** What the previews of all clusters come to. */
interface Outlook {
  changed: bigint;
  bytes: bigint;
  doubtful: bigint;
  doubtfulImages: string[];
  /** How all images would be decided; only known where it is one cluster. */
  totals: [bigint, bigint, bigint] | null;
}

function together(previews: PreviewVerdictResponse[]): Outlook {
  const sum = (value: (one: PreviewVerdictResponse) => bigint) => previews.reduce((all, one) => all + value(one), 0n);
  const [only] = previews;
  return {
    changed: sum((one) => one.changed),
    bytes: sum((one) => one.changedBytes),
    doubtful: sum((one) => one.doubtful),
    doubtfulImages: previews.flatMap((one) => one.doubtfulImageIds),
    totals: previews.length === 1 && only ? [only.keep, only.discard, only.review] : null,
  };
}

function verdictOn({ target, exceptions }: Subject, side: Side) {
  return { collection: collection.value, side, target, exceptionImageIds: [...exceptions] };
}

async function previewAll({ subjects, side }: Proposal, signal: AbortSignal): Promise<Outlook> {
  const previews: PreviewVerdictResponse[] = [];
  for (const subject of subjects) {
    const what = { case: "verdict" as const, value: verdictOn(subject, side) };
    previews.push(await patiently(() => decisions.previewVerdict({ collection: collection.value, what }), signal));
  }
  return together(previews);
}

async function giveAll({ subjects, side }: Proposal, note: string): Promise<bigint[]> {
  const given: bigint[] = [];
  for (const subject of subjects) {
    const request = { ...verdictOn(subject, side), note, actor: reviewer.value, requestId: requestId() };
    given.push((await patiently(() => decisions.setVerdict(request))).eventSequence);
  }
  return given;
}

async function takeBack(events: bigint[], onDone: () => void): Promise<void> {
  try {
    for (const eventSequence of [...events].reverse()) {
      const request = { collection: collection.value, eventSequence, actor: reviewer.value, requestId: requestId() };
      await patiently(() => decisions.undoEvent(request));
    }
    say("Taken back.");
  } catch (error) {
    complain(error);
  }
  onDone();
}

function Asking({ proposal: asked }: { proposal: Proposal }) {
  const [outlook, setOutlook] = useState<Outlook | null>(null);
  const [failure, setFailure] = useState("");
  const [note, setNote] = useState("");
  const [giving, setGiving] = useState(false);
  const { side, subjects, onDone } = asked;
  const word = sideWord(side);
  const images = subjects.reduce((sum, one) => sum + one.size, 0);
  const exceptions = subjects.reduce((sum, one) => sum + one.exceptions.length, 0);
  useEffect(() => {
    const stop = new AbortController();
    previewAll(asked, stop.signal).then(setOutlook, (error: unknown) => !stop.signal.aborted && setFailure(plain(error)));
    return () => stop.abort();
  }, [asked]);
  const close = () => (proposal.value = null);
  const give = async () => {
    setGiving(true);
    try {
      const events = await giveAll(asked, note);
      unmark(subjects.flatMap((one) => one.key ?? []));
      say(`${word === "keep" ? "Kept" : "Discarded"} ${counted(images - exceptions, "picture")}.`, {
        label: "Undo",
        run: () => void takeBack(events, onDone),
      });
    } catch (error) {
      complain(error);
    }
    close();
    onDone();
  };
  const what = subjects.length > 1 ? `${subjects.length} clusters` : (subjects[0]?.name ?? "");
  return (
    <Dialog label={`${word} ${what}`} class="verdict" onClose={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void give();
        }}
      >
        <h2>
          {word === "keep" ? "Keep" : "Discard"} {what}?
        </h2>
        <p>
          {counted(images, "picture")}
          {exceptions > 0 && `, of which ${counted(exceptions, "exception gets", "exceptions get")} the other side`}.
        </p>
        {failure && <p role="alert">{failure}</p>}
        {!failure && (outlook ? <Changes outlook={outlook} several={subjects.length > 1} /> : <p class="muted">Working out what it would change …</p>)}
        <label class="stack">
          Note, for the log
          <input value={note} maxLength={NOTE_CHARACTERS_MAX} onInput={({ currentTarget }) => setNote(currentTarget.value)} />
        </label>
        <div class="row end">
          <button type="button" onClick={close}>
            Cancel <kbd>Esc</kbd>
          </button>
          <button type="submit" class={`answer ${word}`} disabled={giving || failure !== ""} autofocus>
            {word === "keep" ? "Keep" : "Discard"} <kbd>Enter</kbd>
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function Changes({ outlook, several }: { outlook: Outlook; several: boolean }) {
  const { changed, doubtful, totals } = outlook;
  const rest = outlook.doubtfulImages.slice(0, DOUBTFUL_SHOWN);
  return (
    <>
      <p>
        {changed === 0n ? "No decision changes." : `${counted(changed, "decision")} change, on ${bytes(outlook.bytes)} of files.`}
        {several && changed > 0n && " (The sum of what each would change by itself.)"}
      </p>
      {totals && (
        <p class="muted">
          Then {count(totals[0])} to keep, {count(totals[1])} to discard, {count(totals[2])} in doubt, in all.
        </p>
      )}
      {doubtful > 0n && (
        <section>
          <p>{counted(doubtful, "picture looks", "pictures look")} to be of the other side and would stay in doubt:</p>
          <div class="strip-of-pictures">
            {rest.map((image) => (
              <Picture key={image} image={image} />
            ))}
            {doubtful > rest.length && <span class="muted">and {count(doubtful - BigInt(rest.length))} more</span>}
          </div>
        </section>
      )}
    </>
  );
}
