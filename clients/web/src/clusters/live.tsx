// What became of the clusters since they were made, where the clustering is followed.

import { Code } from "@connectrpc/connect";

import { clusterings, isCode } from "../api";
import type { LineageEvent } from "../gen/culld/v1/clustering_pb";
import { LineageChange } from "../gen/culld/v1/clustering_pb";
import { useAnswer } from "../parts/answer";
import { count, counted, moment } from "../words";

/** Clusters that are asked for: only how many there are is shown. */
const PAGE = 1000;
/** Events that are shown. */
const EVENTS_SHOWN = 50;

async function follow(collection: string) {
  try {
    return await clusterings.listLiveClusters({ collection, pageSize: PAGE });
  } catch (error) {
    // Only an active clustering by DBSCAN is followed.
    if (isCode(error, Code.FailedPrecondition)) return null;
    throw error;
  }
}

export function Live({ collection, clusteringId }: { collection: string; clusteringId: bigint }) {
  const { value } = useAnswer(() => follow(collection), [collection, clusteringId]);
  if (!value || value.clusteringId !== clusteringId) return null;
  const events = value.lineage.slice(-EVENTS_SHOWN).reverse();
  return (
    <details class="live">
      <summary>
        Followed: now {counted(value.clusters.length, "cluster")}
        {value.nextPageToken && " or more"}, {count(value.noise)} noise
      </summary>
      {events.length === 0 ? (
        <p class="muted">No cluster came, went, merged or split since.</p>
      ) : (
        <ul>
          {events.map((event) => (
            <li>
              <span class="muted">{moment(event.time)}</span> {happened(event)}
            </li>
          ))}
        </ul>
      )}
    </details>
  );
}

function happened({ change, clusterId, otherClusterId }: LineageEvent): string {
  const words: Record<LineageChange, string> = {
    [LineageChange.UNSPECIFIED]: "changed",
    [LineageChange.APPEARED]: "formed",
    [LineageChange.VANISHED]: "lost its last core",
    [LineageChange.MERGED]: `went into #${otherClusterId}`,
    [LineageChange.SPLIT]: `came off #${otherClusterId}`,
  };
  return `#${clusterId} ${words[change]}`;
}
