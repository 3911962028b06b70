// The map: pictures that are alike lie together. A line drawn round some shows them, and a verdict can be given on them.

import { useEffect, useMemo, useState } from "preact/hooks";

import { plain } from "../api";
import { lookCloser } from "../closer/closer";
import { proposeImages, VerdictDialog } from "../clusters/verdict";
import { Side } from "../gen/culld/v1/decision_pb";
import { useKeys } from "../parts/keys";
import { Picture } from "../parts/picture";
import { VirtualGrid } from "../parts/virtual";
import { collection, linkTo } from "../session";
import { count, counted } from "../words";
import { Canvas } from "./canvas";
import type { Colour, Tool } from "./canvas";
import { POINTS_MAX, readPoints, tally } from "./points";
import type { Points } from "./points";

const PICTURE_WIDTH_PX = 92;

export function MapView() {
  const [points, setPoints] = useState<Points | null>(null);
  const [read, setRead] = useState("");
  const [failure, setFailure] = useState("");
  const [round, setRound] = useState({ number: 0, afresh: false });
  const [colour, setColour] = useState<Colour>("decision");
  const [tool, setTool] = useState<Tool>("select");
  const [rows, setRows] = useState<number[]>([]);
  const reload = (afresh: boolean) => setRound(({ number }) => ({ number: number + 1, afresh }));
  useEffect(() => {
    const stop = new AbortController();
    const told = (read: number, all: number) => setRead(`${count(read)} of ${counted(all, "picture")}`);
    readPoints(collection.value, round.afresh, stop.signal, told).then(
      (found) => {
        setPoints(found);
        setFailure("");
        if (round.afresh) setRows([]);
      },
      (error: unknown) => !stop.signal.aborted && setFailure(plain(error)),
    );
    return () => stop.abort();
  }, [round]);
  const selected = useMemo(() => new Set(rows), [rows]);
  const images = useMemo(() => (points ? rows.flatMap((row) => points.images[row] ?? []) : []), [points, rows]);
  const judge = (side: Side) => proposeImages({ side, images, onDone: () => reload(false) });
  useKeys((event) => {
    const key = event.key.toLowerCase();
    if (key === "k") judge(Side.KEEP);
    else if (key === "d") judge(Side.DISCARD);
    else if (key === "escape") setRows([]);
    else return;
    event.preventDefault();
  });
  if (failure) {
    return (
      <main class="atlas">
        <p role="alert" class="empty">
          {failure} <button type="button" onClick={() => reload(false)}>Try again</button>
        </p>
      </main>
    );
  }
  if (!points) return <main class="atlas"><p class="empty muted" role="status">Laying the pictures out … {read}</p></main>;
  const all = points.images.length;
  if (all === 0) {
    return (
      <main class="atlas">
        <p class="empty">
          There is no picture yet. <a href={linkTo({ view: "run" })}>Add some</a>
        </p>
      </main>
    );
  }
  const counts = tally(points, Array.from(points.images.keys()));
  const label = `Map of ${counted(all, "picture")}: ${count(counts[0])} to keep, ${count(counts[1])} to discard, ${count(counts[2])} in review. Arrows move, plus and minus zoom, Enter selects what is in sight.`;
  return (
    <main class={`atlas ${rows.length > 0 ? "selecting" : ""}`}>
      <h1 class="sr">Map</h1>
      <div class="strip">
        <Choice name="Drag to" value={tool} onChoose={setTool} all={[["select", "Circle"], ["move", "Move"]]} />
        <Choice name="Colour by" value={colour} onChoose={setColour} all={[["decision", "Decision"], ["cluster", "Cluster"]]} />
        {colour === "decision" && (
          <p class="legend">
            <span class="keep">■ keep {count(counts[0])}</span> <span class="discard">■ discard {count(counts[1])}</span> <span class="muted">■ review {count(counts[2])}</span>
          </p>
        )}
        {all >= POINTS_MAX && <p class="muted">the first {count(POINTS_MAX)} pictures</p>}
        <button type="button" title="Also moves what has its place" onClick={() => reload(true)}>
          Lay out anew
        </button>
      </div>
      <Canvas
        points={points}
        colour={colour}
        tool={tool}
        selected={selected}
        label={label}
        onSelect={setRows}
        onLook={(row) => lookCloser({ images: points.images, index: row })}
      />
      {rows.length > 0 && <Selection images={images} counts={tally(points, rows)} onJudge={judge} onClear={() => setRows([])} />}
      <VerdictDialog />
    </main>
  );
}

function Choice<T extends string>({ name, value, all, onChoose }: { name: string; value: T; all: readonly (readonly [T, string])[]; onChoose: (value: T) => void }) {
  return (
    <div class="row" role="group" aria-label={name}>
      <span class="muted">{name}</span>
      {all.map(([one, label]) => (
        <button key={one} type="button" aria-pressed={one === value} onClick={() => onChoose(one)}>
          {label}
        </button>
      ))}
    </div>
  );
}

interface SelectionProps {
  images: string[];
  counts: [number, number, number];
  onJudge: (side: Side) => void;
  onClear: () => void;
}

function Selection({ images, counts, onJudge, onClear }: SelectionProps) {
  return (
    <section class="selection" aria-label="What is selected">
      <header>
        <h2>
          <span role="status">{counted(images.length, "picture")}</span>
        </h2>
        <button type="button" onClick={onClear}>
          Clear <kbd>Esc</kbd>
        </button>
        <p class="muted">
          {count(counts[0])} keep, {count(counts[1])} discard, {count(counts[2])} review
        </p>
      </header>
      <VirtualGrid
        label="Pictures selected"
        items={images}
        keyOf={(image) => image}
        minWidth={PICTURE_WIDTH_PX}
        heightOf={(width) => width}
        render={(image, index) => (
          <div class="member">
            <button type="button" class="look" aria-label={`Look closer at picture ${index + 1}`} onClick={() => lookCloser({ images, index })}>
              <Picture image={image} alt="" />
            </button>
          </div>
        )}
      />
      <div class="answers" role="group" aria-label="Verdict">
        <button type="button" class="answer keep" onClick={() => onJudge(Side.KEEP)}>
          Keep … <kbd>K</kbd>
        </button>
        <button type="button" class="answer discard" onClick={() => onJudge(Side.DISCARD)}>
          Discard … <kbd>D</kbd>
        </button>
      </div>
    </section>
  );
}
