// A closer look at one picture: as large as can be had, with everything that led to its decision.

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";

import { decisions, images, patiently, plain, previewUrl, thumbnailUrl } from "../api";
import type { Decision, Neighbour } from "../gen/culld/v1/decision_pb";
import { DecisionKind, Side } from "../gen/culld/v1/decision_pb";
import type { ExplainDecisionResponse } from "../gen/culld/v1/decision_service_pb";
import type { Image } from "../gen/culld/v1/image_pb";
import { Dialog } from "../parts/dialog";
import { useKeys } from "../parts/keys";
import { Picture } from "../parts/picture";
import { collection } from "../session";
import { bytes, count, fixed, kindWord, moment, reasonWords, share, shortName } from "../words";

interface Look {
  images: string[];
  index: number;
  /** Marks as an exception; left out where there is nothing to except from. */
  toggle?: (image: string) => void;
  isException?: (image: string) => boolean;
}

const look = signal<Look | null>(null);
/** Longest side of what is stored, in pixels. */
const SMALL_EDGE_PX = 320;

export function lookCloser(asked: Look): void {
  look.value = asked;
}

export function Closer() {
  const { value } = look;
  const image = value?.images[value.index];
  return value && image ? <Open value={value} image={image} /> : null;
}

function Open({ value, image }: { value: Look; image: string }) {
  const [known, setKnown] = useState<Image | undefined>();
  const go = (step: number) => {
    const index = (value.index + step + value.images.length) % value.images.length;
    look.value = { ...value, index };
  };
  const close = () => (look.value = null);
  useKeys((event) => {
    const inButton = event.target instanceof HTMLElement && /^(BUTTON|SUMMARY)$/.test(event.target.tagName);
    if (event.key === "ArrowRight") go(1);
    else if (event.key === "ArrowLeft") go(-1);
    else if (event.key === " " && !inButton) close();
    else if (event.key === "x" || event.key === "X") value.toggle?.(image);
    else return;
    event.preventDefault();
  }, true);
  return (
    <Dialog label="A closer look" class="closer" onClose={close}>
      <div class="closer-frame">
        <Large key={image} image={image} original={known} />
        <aside class="facts">
          <header>
            <p class="muted">
              {value.index + 1} of {value.images.length}
            </p>
            <div class="row">
              <button type="button" aria-label="Previous picture" title="←" onClick={() => go(-1)} disabled={value.images.length < 2}>
                ←
              </button>
              <button type="button" aria-label="Next picture" title="→" onClick={() => go(1)} disabled={value.images.length < 2}>
                →
              </button>
              <button type="button" onClick={close}>
                Close <kbd>Esc</kbd>
              </button>
            </div>
          </header>
          {value.toggle && (
            <button type="button" class="wide" aria-pressed={value.isException?.(image) ?? false} onClick={() => value.toggle?.(image)}>
              {value.isException?.(image) ? "An exception: of the other side" : "Make it an exception"} <kbd>X</kbd>
            </button>
          )}
          <Facts key={image} image={image} onKnown={setKnown} />
        </aside>
      </div>
    </Dialog>
  );
}

/** A small picture is shown larger than it is, but not so large that there is nothing but blur. */
const ENLARGED_MAX = 2.5;

function Large({ image, original }: { image: string; original: Image | undefined }) {
  const [size, setSize] = useState<{ width: number; height: number } | null>(null);
  const [full, setFull] = useState(false);
  const isThis = original?.imageId === image;
  const isReduced = isThis && size !== null && Math.max(size.width, size.height) <= SMALL_EDGE_PX && original.widthPx > size.width;
  const bounds = size && !full ? { maxWidth: `${size.width * ENLARGED_MAX}px`, maxHeight: `${size.height * ENLARGED_MAX}px` } : {};
  return (
    // The focus starts here, so that space closes what space opened.
    <div class={`large ${full ? "full" : ""}`} tabIndex={0} role="group" aria-label="The picture" autofocus>
      {!size && <img class="underlay" src={thumbnailUrl(collection.value, image)} alt="" />}
      <img
        class={size ? "" : "coming"}
        style={bounds}
        src={previewUrl(collection.value, image)}
        alt={`Picture ${image.slice(0, 8)}, large`}
        onLoad={({ currentTarget }) => setSize({ width: currentTarget.naturalWidth, height: currentTarget.naturalHeight })}
      />
      <p class="caption">
        {isReduced ? "Only the small picture: the daemon can't read the file." : size && `${size.width} × ${size.height} px shown`}
        {size && Math.max(size.width, size.height) > SMALL_EDGE_PX && (
          <button type="button" class="link" aria-pressed={full} onClick={() => setFull(!full)}>
            {full ? "Fit" : "Actual size"}
          </button>
        )}
      </p>
    </div>
  );
}

function Facts({ image, onKnown }: { image: string; onKnown: (image: Image | undefined) => void }) {
  const [found, setFound] = useState<{ why: ExplainDecisionResponse; image: Image | undefined } | null>(null);
  const [failure, setFailure] = useState("");
  useEffect(() => {
    const stop = new AbortController();
    const asked = { collection: collection.value, imageId: image };
    const both = patiently(
      () => Promise.all([decisions.explainDecision(asked), images.getImage({ ...asked, withEmbedding: false })]),
      stop.signal,
    );
    both.then(
      ([why, got]) => {
        if (stop.signal.aborted) return;
        setFound({ why, image: got.image });
        onKnown(got.image);
      },
      (error: unknown) => !stop.signal.aborted && setFailure(plain(error)),
    );
    return () => stop.abort();
  }, [image]);
  if (failure) return <p role="alert">{failure}</p>;
  const decision = found?.why.decision;
  if (!found || !decision) return <p class="muted">Asking why …</p>;
  return (
    <>
      <Verdict decision={decision} />
      <Nearest decision={decision} />
      <Origin image={found.image} decision={decision} />
      <details>
        <summary>Every rule that was looked at</summary>
        <ol class="rules">
          {found.why.rules.map((rule) => (
            <li>{rule}</li>
          ))}
        </ol>
        {found.why.events.map((event) => (
          <p class="muted">
            #{String(event.sequence)} {moment(event.time)}, {event.actor || "somebody"}: {event.summary}
            {event.note && <q>{event.note}</q>}
          </p>
        ))}
      </details>
    </>
  );
}

function Verdict({ decision }: { decision: Decision }) {
  const side = decision.provisionalSide === Side.DISCARD ? "discard" : "keep";
  const probability = decision.evidence?.keepProbability;
  const reason = reasonWords(decision.reason);
  return (
    <section>
      <h2>
        <span class={`dot ${decision.decision === DecisionKind.REVIEW ? "review" : side}`} /> {kindWord(decision.decision)}
      </h2>
      <p>
        Because {reason}.{decision.decision === DecisionKind.REVIEW && ` If it had to be decided now: ${side}.`}
      </p>
      {decision.detail && !reason.includes(decision.detail) && <p class="muted">{decision.detail}</p>}
      <p class="muted">
        Confidence {share(decision.confidence)}
        {probability !== undefined && `; needed with probability ${share(probability)}`}
      </p>
    </section>
  );
}

function Nearest({ decision }: { decision: Decision }) {
  const sides: [string, string, Neighbour | undefined][] = [
    ["keep", "Nearest kept", decision.evidence?.nearestKeep],
    ["discard", "Nearest discarded", decision.evidence?.nearestDiscard],
  ];
  return (
    <section class="nearest">
      {sides.map(([side, title, neighbour]) => (
        <figure class={side}>
          {neighbour ? <Picture image={neighbour.imageId} alt={`${title} picture`} eager /> : <div class="none">none yet</div>}
          <figcaption>
            {title}
            {neighbour && <span class="muted"> at {fixed(neighbour.distance, 3)}</span>}
          </figcaption>
        </figure>
      ))}
    </section>
  );
}

function Origin({ image, decision }: { image: Image | undefined; decision: Decision }) {
  return (
    <section>
      {image && (
        <p>
          {count(image.widthPx)} × {count(image.heightPx)} px, {image.format.toUpperCase()}, {bytes(image.sizeBytes)}
        </p>
      )}
      <ul class="sources">
        {decision.sourceKeys.map((key) => (
          <li title={key}>
            <bdi>{shortName(key)}</bdi>
          </li>
        ))}
      </ul>
      <p class="muted mono">{decision.imageId.slice(0, 16)}…</p>
    </section>
  );
}
