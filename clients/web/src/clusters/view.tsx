// Clusters: a wall of contact sheets.

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";

import { Side } from "../gen/culld/v1/decision_pb";
import { useAnswer } from "../parts/answer";
import { useKeys } from "../parts/keys";
import { complain } from "../parts/notices";
import { Picture } from "../parts/picture";
import { VirtualGrid } from "../parts/virtual";
import { collection, linkTo, place } from "../session";
import { count, counted, fixed, share } from "../words";
import { exceptionsOf, listGroups, mark, NOISE, ORDERS, sorted, withUncertainty } from "./groups";
import type { Group, Order } from "./groups";
import { Live } from "./live";
import { Members } from "./members";
import { propose, VerdictDialog } from "./verdict";

const CARD_WIDTH_PX = 236;
/** What a card has above and below its sheet, in pixels. */
const CARD_REST_PX = 112;

export function ClustersView() {
  const name = collection.value;
  const found = useAnswer(() => listGroups(name), [name]);
  const [groups, setGroups] = useState<Group[]>([]);
  const [order, setOrder] = useState<Order>("size");
  const [unjudged, setUnjudged] = useState(false);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  useEffect(() => {
    if (!found.value) return;
    setGroups(found.value);
    withUncertainty(name, found.value).then(setGroups, complain);
  }, [found.value]);
  const shown = useMemo(
    () => sorted(groups, order).filter((one) => !unjudged || one.keep + one.discard < one.size),
    [groups, order, unjudged],
  );
  const done = useCallback(() => {
    setChosen(new Set());
    found.reload();
  }, []);
  const choose = (key: string) => {
    const next = new Set(chosen);
    if (!next.delete(key)) next.add(key);
    setChosen(next);
  };
  const judge = (side: Side, keys: ReadonlySet<string>) => propose({ side, groups: groups.filter((one) => keys.has(one.key)), onDone: done });
  const scrolled = useRef(0);
  const { detail } = place.value;
  const left = useRef("");
  useEffect(() => {
    // Who comes back from a cluster finds it in focus.
    if (left.current && !detail) document.querySelector<HTMLElement>(`[data-group="${CSS.escape(left.current)}"]`)?.focus();
    left.current = detail;
  }, [detail]);
  const opened = detail ? groups.find((one) => one.key === detail) : undefined;
  useKeys((event) => {
    if (opened) return;
    const key = event.key.toLowerCase();
    const focused = document.activeElement?.closest<HTMLElement>("[data-group]")?.dataset["group"];
    const about = chosen.size > 0 ? chosen : new Set(focused ? [focused] : []);
    if (key === "k") judge(Side.KEEP, about);
    else if (key === "d") judge(Side.DISCARD, about);
    else if (key === "x" && focused) choose(focused);
    else if (key === "enter" && focused && document.activeElement?.hasAttribute("data-group")) location.hash = linkTo({ detail: focused });
    else return;
    event.preventDefault();
  });
  if (opened) return <Members group={opened} onDone={done} />;
  return (
    <main class="wall">
      <h1 class="sr">Clusters</h1>
      <div class="strip">
        <p>
          {found.value && `${counted(groups.filter((one) => one.key !== NOISE).length, "cluster")} of ${counted(sum(groups), "picture")}`}
        </p>
        <label>
          Sort by{" "}
          <select value={order} onChange={({ currentTarget }) => setOrder(ORDERS.find((one) => one === currentTarget.value) ?? "size")}>
            {ORDERS.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </label>
        <label>
          <input type="checkbox" checked={unjudged} onChange={({ currentTarget }) => setUnjudged(currentTarget.checked)} /> only what is not judged
        </label>
        {groups[0] && <Live collection={name} clusteringId={groups[0].clusteringId} />}
      </div>
      {found.failure && <p role="alert">{found.failure}</p>}
      {found.value === null && (
        <div class="empty">
          <p>The pictures are in no clusters yet. Reviewing needs none; a wall of clusters does.</p>
          <p>
            <a href={linkTo({ view: "run" })}>Cluster them</a>
          </p>
        </div>
      )}
      {found.value && (
        <VirtualGrid
          label="Clusters"
          items={shown}
          scrolled={scrolled}
          keyOf={(one) => one.key}
          minWidth={CARD_WIDTH_PX}
          heightOf={(width) => width + CARD_REST_PX}
          render={(one) => <Card group={one} chosen={chosen.has(one.key)} onChoose={() => choose(one.key)} onJudge={(side) => judge(side, new Set([one.key]))} />}
        />
      )}
      {chosen.size > 0 && (
        <div class="answers" role="group" aria-label="The chosen clusters">
          <p>
            {counted(chosen.size, "cluster")}, {counted(sum(groups.filter((one) => chosen.has(one.key))), "picture")}
          </p>
          <button type="button" class="answer keep" onClick={() => judge(Side.KEEP, chosen)}>
            Keep … <kbd>K</kbd>
          </button>
          <button type="button" class="answer discard" onClick={() => judge(Side.DISCARD, chosen)}>
            Discard … <kbd>D</kbd>
          </button>
          <button type="button" class="answer" onClick={() => setChosen(new Set())}>
            None
          </button>
        </div>
      )}
      <VerdictDialog />
    </main>
  );
}

function sum(groups: readonly Group[]): number {
  return groups.reduce((all, one) => all + one.size, 0);
}

export function titleOf(group: Group): string {
  return group.key === NOISE ? "Noise" : `Cluster ${group.key}`;
}

interface CardProps {
  group: Group;
  chosen: boolean;
  onChoose: () => void;
  onJudge: (side: Side) => void;
}

function Card({ group, chosen, onChoose, onJudge }: CardProps) {
  const exceptions = exceptionsOf(group.key);
  const title = titleOf(group);
  return (
    <article class={`card ${chosen ? "chosen" : ""}`} data-group={group.key} tabIndex={0} aria-label={`${title}, ${counted(group.size, "picture")}`}>
      <header>
        <input type="checkbox" checked={chosen} aria-label={`Choose ${title}`} onChange={onChoose} />
        <a href={linkTo({ detail: group.key })} title={`Open ${title}`}>
          {group.key === NOISE ? "Noise" : `#${group.key}`} <b>{counted(group.size, "picture")}</b>
        </a>
        <p class="muted">
          {group.key !== NOISE && <span title="The largest distance from its middle">radius {fixed(group.radius)}</span>}
          {group.uncertainty !== undefined && <span title="One less the mean confidence in the pictures shown">uncertain {share(group.uncertainty)}</span>}
        </p>
      </header>
      <div class="sheet">
        {group.samples.map((image, index) => (
          <button
            type="button"
            key={image}
            class={exceptions.has(image) ? "exception" : ""}
            aria-pressed={exceptions.has(image)}
            aria-label={`${title}, picture ${index + 1}: exception`}
            title="Click: an exception, of the other side"
            onClick={() => mark(group.key, image)}
          >
            <Picture image={image} alt="" />
          </button>
        ))}
      </div>
      <Labels group={group} />
      <footer>
        <button type="button" class="answer keep" onClick={() => onJudge(Side.KEEP)}>
          Keep …
        </button>
        <button type="button" class="answer discard" onClick={() => onJudge(Side.DISCARD)}>
          Discard …
        </button>
      </footer>
    </article>
  );
}

/** How much of a cluster is labelled, and how. */
export function Labels({ group }: { group: Group }) {
  const part = (images: number) => `${(images / Math.max(group.size, 1)) * 100}%`;
  const words = `${count(group.keep)} labelled keep, ${count(group.discard)} discard`;
  return (
    <div class="labels" role="img" aria-label={words} title={words}>
      <i class="keep" style={{ width: part(group.keep) }} />
      <i class="discard" style={{ width: part(group.discard) }} />
    </div>
  );
}
