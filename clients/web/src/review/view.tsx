// Review: one group of pictures at a time, and a key for each answer.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

import { admin, patiently } from "../api";
import { lookCloser } from "../closer/closer";
import { ReviewAnswer } from "../gen/culld/v1/decision_service_pb";
import { useKeys } from "../parts/keys";
import { Picture } from "../parts/picture";
import { collection, linkTo } from "../session";
import { count, counted, shortName } from "../words";
import { Desk } from "./desk";
import type { Item } from "./desk";
import { Meter } from "./meter";

const ANSWERS = [
  { key: "k", label: "Keep", answer: ReviewAnswer.KEEP, tone: "keep" },
  { key: "d", label: "Discard", answer: ReviewAnswer.DISCARD, tone: "discard" },
  { key: "m", label: "Mixed", answer: ReviewAnswer.MIXED, tone: "mixed" },
  { key: "s", label: "Skip", answer: ReviewAnswer.SKIP, tone: "" },
] as const;

export function ReviewView() {
  const name = collection.value;
  const desk = useMemo(() => new Desk(name), [name]);
  useEffect(() => () => desk.close(), [desk]);
  const board = useRef<HTMLDivElement>(null);
  const item = desk.current.value;
  const look = (index: number) => {
    if (!item) return;
    lookCloser({
      images: item.shown,
      index,
      toggle: (image) => desk.toggle(item.shown.indexOf(image)),
      isException: (image) => desk.exceptions.value.has(image),
    });
  };
  useKeys((event) => {
    const key = event.key.toLowerCase();
    const given = ANSWERS.find((one) => one.key === key);
    if (event.repeat) return;
    if (given) desk.answer(given.answer);
    else if (key === "u") event.shiftKey ? desk.redo() : desk.undo();
    else if (/^[1-9]$/.test(key)) desk.toggle(Number(key) - 1);
    else if (key === " " && isFree(event.target)) look(focused(board.current));
    else if (key.startsWith("arrow")) moveFocus(board.current, key);
    else return;
    event.preventDefault();
  });
  return (
    <main class="review" aria-busy={desk.pending.value > 0}>
      <h1 class="sr">Review</h1>
      <div class="strip">
        <Meter estimate={desk.estimate.value} enough={desk.enough.value} />
        {item && <About item={item} exceptions={desk.exceptions.value.size} />}
      </div>
      {desk.enough.value && <Enough desk={desk} />}
      <div class="board" ref={board}>
        {item ? <Board key={item.id} desk={desk} item={item} onLook={look} /> : <Empty desk={desk} />}
      </div>
      <div class="answers" role="group" aria-label="Answers">
        {ANSWERS.map(({ key, label, answer, tone }) => (
          <button
            type="button"
            class={`answer ${tone}`}
            aria-keyshortcuts={key.toUpperCase()}
            disabled={!item || (answer === ReviewAnswer.MIXED && item.images < 2)}
            onClick={() => desk.answer(answer)}
          >
            {label} <kbd>{key.toUpperCase()}</kbd>
          </button>
        ))}
        <button type="button" class="answer" aria-keyshortcuts="U" disabled={desk.spent.value.length === 0} onClick={() => desk.undo()}>
          Undo <kbd>U</kbd>
        </button>
      </div>
    </main>
  );
}

function About({ item, exceptions }: { item: Item; exceptions: number }) {
  const others = item.images - item.shown.length;
  return (
    <p class="about" role="status">
      {counted(item.shown.length, "picture")}
      {others > 0 && (
        <>
          {" "}
          of <b>{count(item.images)}</b>: the other {count(others)} go with your answer
        </>
      )}
      {exceptions > 0 && <span class="tag">{counted(exceptions, "exception")}</span>}
      {item.skippedBefore && <span class="tag">skipped before</span>}
    </p>
  );
}

function Board({ desk, item, onLook }: { desk: Desk; item: Item; onLook: (index: number) => void }) {
  const element = useRef<HTMLUListElement>(null);
  const columns = useColumns(element, item.shown.length, desk);
  return (
    <ul class="pictures" ref={element} style={{ "--columns": columns, "--rows": Math.ceil(item.shown.length / columns) }}>
      {item.shown.map((image, index) => {
        const isException = desk.exceptions.value.has(image);
        const name = desk.names.value.get(image);
        const title = `Picture ${index + 1}${name ? `, ${shortName(name)}` : ""}`;
        return (
          <li key={image} class={isException ? "exception" : ""}>
            <button type="button" class="look" data-index={index} aria-label={`Look closer at ${title}`} title={name} onClick={() => onLook(index)}>
              <Picture image={image} alt="" eager />
            </button>
            <button type="button" class="digit" aria-pressed={isException} aria-label={`${title}: exception`} onClick={() => desk.toggle(index)}>
              {index + 1}
            </button>
            {isException && <span class="ribbon">the other side</span>}
          </li>
        );
      })}
    </ul>
  );
}

/** What a picture is taken for before any was had: width by height. */
const USUAL_SHAPE = 4 / 3;

/** As many columns as make the pictures largest in the room there is, by the shapes of those that were had. */
function useColumns(element: { current: HTMLElement | null }, pictures: number, desk: Desk): number {
  const [columns, setColumns] = useState(3);
  useLayoutEffect(() => {
    const room = element.current;
    if (!room) return undefined;
    const fit = () => {
      const { clientWidth: width, clientHeight: height } = room;
      const shapes = desk.shapes.length > 0 ? desk.shapes : [USUAL_SHAPE];
      const area = (columns: number) => {
        const [across, down] = [width / columns, height / Math.ceil(pictures / columns)];
        return shapes.reduce((sum, shape) => sum + Math.min(across, down * shape) ** 2 / shape, 0);
      };
      const options = Array.from({ length: pictures }, (_, index) => index + 1);
      setColumns(options.reduce((best, one) => (area(one) > area(best) ? one : best), 1));
    };
    fit();
    const observer = new ResizeObserver(fit);
    observer.observe(room);
    return () => observer.disconnect();
  }, [pictures, desk]);
  return columns;
}

function Enough({ desk }: { desk: Desk }) {
  const [counts, setCounts] = useState("");
  const judgements = desk.estimate.value?.judgements;
  useEffect(() => {
    const stop = new AbortController();
    patiently(() => admin.getStats({ collection: collection.value }), stop.signal).then(
      (stats) =>
        setCounts(`${count(stats.decidedKeep)} to keep, ${count(stats.decidedDiscard)} to discard, ${count(stats.inReview)} in doubt.`),
      () => undefined,
    );
    return () => stop.abort();
  }, [judgements]);
  return (
    <div class="banner" role="status">
      <p>
        <b>Enough.</b> More answers are not worth your time. {counts}
      </p>
      <p class="muted">
        You may go on, or look over <a href={linkTo({ view: "clusters" })}>the clusters</a>. New pictures are decided as they arrive.
      </p>
    </div>
  );
}

function Empty({ desk }: { desk: Desk }) {
  const waiting = desk.waiting.value;
  if (waiting === "failed") {
    return (
      <div class="empty">
        <p>What comes next could not be found out.</p>
        <p>
          <button type="button" onClick={() => desk.renew()}>
            Try again
          </button>
        </p>
      </div>
    );
  }
  if (waiting === "fetching") return <p class="empty muted">Looking for what is worth most …</p>;
  if (waiting === "held by others") {
    return <p class="empty">Other reviewers hold all that is left. What they give back appears here by itself.</p>;
  }
  return (
    <div class="empty">
      <p>Nothing is left to judge.</p>
      <p>
        <a href={linkTo({ view: "run" })}>Add pictures</a>
      </p>
    </div>
  );
}

/** Whether the space bar means nothing else where the focus is. */
function isFree(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return true;
  return target.classList.contains("look") || !/^(BUTTON|A|SUMMARY)$/.test(target.tagName);
}

function looks(board: HTMLElement | null): HTMLElement[] {
  return board ? [...board.querySelectorAll<HTMLElement>(".look")] : [];
}

function focused(board: HTMLElement | null): number {
  return Math.max(0, looks(board).findIndex((one) => one === document.activeElement));
}

/** Goes from picture to picture as they lie. */
function moveFocus(board: HTMLElement | null, key: string): void {
  const all = looks(board);
  const at = all.findIndex((one) => one === document.activeElement);
  const from = all[at]?.getBoundingClientRect();
  if (!from) {
    all[0]?.focus();
    return;
  }
  const columns = all.filter((one) => Math.abs(one.getBoundingClientRect().top - from.top) < 2).length;
  const step = { arrowleft: -1, arrowright: 1, arrowup: -columns, arrowdown: columns }[key] ?? 0;
  all[at + step]?.focus();
}
