// The frame around the views.

import { useEffect, useState } from "preact/hooks";

import { admin, collections, online, patiently, sleep } from "./api";
import { Closer } from "./closer/closer";
import { ClustersView } from "./clusters/view";
import { MapView } from "./map/view";
import { Leave, note } from "./door";
import { Help, helpIsOpen } from "./parts/help";
import { useKeys } from "./parts/keys";
import { Notices } from "./parts/notices";
import { PlotsView } from "./plots/view";
import { ReviewView } from "./review/view";
import { RunView } from "./run/view";
import { collection, linkTo, place, rename, reviewer, VIEWS } from "./session";
import type { View } from "./session";

const TITLES: Record<View, string> = { review: "Review", clusters: "Clusters", map: "Map", plots: "Plots", run: "Run" };
/** How often it is looked whether the daemon is there. */
const HEARTBEAT_MS = 5_000;
const COLLECTIONS_MAX = 1000;

export function App() {
  const { view, collection: name } = place.value;
  useKeys((event) => {
    if (event.key !== "?") return;
    helpIsOpen.value = true;
    event.preventDefault();
  });
  useEffect(() => {
    const stop = new AbortController();
    void heartbeat(stop.signal).catch(() => undefined);
    return () => stop.abort();
  }, []);
  useEffect(() => {
    document.title = `${TITLES[view]} · culld`;
  }, [view]);
  return (
    <>
      <header class="top">
        <a class="brand" href={linkTo({ view: "review" })} aria-label="culld: review">
          <img src="/favicon.svg" alt="" width="20" height="20" /> <span>culld</span>
        </a>
        <nav aria-label="Views">
          {VIEWS.map((one) => (
            <a key={one} href={linkTo({ view: one })} aria-current={one === view ? "page" : undefined}>
              {TITLES[one]}
            </a>
          ))}
        </nav>
        <div class="who">
          <CollectionChoice />
          <ReviewerName />
          <Leave />
          <button type="button" class="icon" aria-label="Keys and help" title="?" onClick={() => (helpIsOpen.value = true)}>
            ?
          </button>
        </div>
      </header>
      <p class="away" role="alert" hidden={online.value}>
        {online.value ? "" : "The daemon doesn't answer. Trying again …"}
      </p>
      {view === "review" && <ReviewView key={name} />}
      {view === "clusters" && <ClustersView key={name} />}
      {view === "map" && <MapView key={name} />}
      {view === "plots" && <PlotsView key={name} />}
      {view === "run" && <RunView key={name} />}
      <Closer />
      <Help />
      <Notices />
    </>
  );
}

/** Asks now and then, so that an absence shows before an answer is given. */
async function heartbeat(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const ask = () => admin.getServerInfo({}, { signal, timeoutMs: HEARTBEAT_MS });
    // One that is slow to answer is asked again; one that is gone, until it is back.
    if (!document.hidden) await patiently(ask, signal).then((info) => note(info.features), () => undefined);
    await sleep(HEARTBEAT_MS, signal);
  }
}

function CollectionChoice() {
  const [names, setNames] = useState<string[]>([]);
  const refresh = () => {
    patiently(() => collections.listCollections({ pageSize: COLLECTIONS_MAX })).then(
      (found) => setNames(found.collections.map((one) => one.name)),
      () => undefined,
    );
  };
  useEffect(refresh, [collection.value]);
  const all = names.includes(collection.value) ? names : [...names, collection.value];
  return (
    <label>
      <span class="sr">Collection</span>
      <select
        value={collection.value}
        onFocus={refresh}
        onChange={({ currentTarget }) => (location.hash = linkTo({ collection: currentTarget.value }))}
      >
        {all.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  );
}

function ReviewerName() {
  return (
    <label>
      <span class="sr">Your name, for the log</span>
      <input
        class="name"
        value={reviewer.value}
        maxLength={60}
        title="Your name, for the log"
        spellcheck={false}
        onChange={({ currentTarget }) => {
          rename(currentTarget.value);
          currentTarget.value = reviewer.value;
        }}
      />
    </label>
  );
}
