// One cluster with all its pictures.

import { useCallback, useRef, useState } from "preact/hooks";

import { clusterings, patiently } from "../api";
import { lookCloser } from "../closer/closer";
import type { Member } from "../gen/culld/v1/clustering_pb";
import { Side } from "../gen/culld/v1/decision_pb";
import { useKeys } from "../parts/keys";
import { complain } from "../parts/notices";
import { Picture } from "../parts/picture";
import { VirtualGrid } from "../parts/virtual";
import { collection, linkTo } from "../session";
import { count, counted, fixed } from "../words";
import { exceptionsOf, mark, NOISE } from "./groups";
import type { Group } from "./groups";
import { propose, VerdictDialog } from "./verdict";
import { Labels, titleOf } from "./view";

const PAGE = 500;
const PICTURE_WIDTH_PX = 132;

export function Members({ group, onDone }: { group: Group; onDone: () => void }) {
  const [members, setMembers] = useState<Member[]>([]);
  const paging = useRef({ token: "", begun: false, busy: false });
  const more = useCallback(() => {
    const state = paging.current;
    if (state.busy || (state.begun && !state.token)) return;
    state.busy = true;
    const request = {
      collection: collection.value,
      clusteringId: group.clusteringId,
      pageSize: PAGE,
      pageToken: state.token,
      ...(group.id === undefined ? {} : { clusterId: group.id }),
    };
    patiently(() => clusterings.listMembers(request))
      .then((page) => {
        paging.current = { token: page.nextPageToken, begun: true, busy: false };
        setMembers((members) => [...members, ...page.members]);
      }, complain);
  }, [group.key, group.clusteringId]);
  const judge = (side: Side) => propose({ side, groups: [group], onDone });
  const exceptions = exceptionsOf(group.key);
  const look = (index: number) =>
    lookCloser({
      images: members.map((member) => member.imageId),
      index,
      toggle: (image) => mark(group.key, image),
      isException: (image) => exceptionsOf(group.key).has(image),
    });
  useKeys((event) => {
    const key = event.key.toLowerCase();
    const index = Number(document.activeElement?.closest<HTMLElement>("[data-index]")?.dataset["index"] ?? -1);
    const member = members[index];
    if (key === "k") judge(Side.KEEP);
    else if (key === "d") judge(Side.DISCARD);
    else if (key === "x" && member) mark(group.key, member.imageId);
    else if (key === "escape") location.hash = linkTo({});
    else return;
    event.preventDefault();
  });
  return (
    <main class="wall">
      <div class="strip">
        <a href={linkTo({})}>← All clusters</a>
        <h1>
          {titleOf(group)} <span class="muted">{counted(group.size, "picture")}</span>
        </h1>
        {group.key !== NOISE && <p class="muted">radius {fixed(group.radius, 3)}</p>}
        <Lineage group={group} />
        {exceptions.size > 0 && <span class="tag">{counted(exceptions.size, "exception")}</span>}
      </div>
      <Labels group={group} />
      <VirtualGrid
        label={`Pictures of ${titleOf(group)}`}
        items={members}
        total={group.size}
        keyOf={(member) => member.imageId}
        minWidth={PICTURE_WIDTH_PX}
        heightOf={(width) => width}
        onNearEnd={more}
        render={(member, index) => (
          <div class={`member ${exceptions.has(member.imageId) ? "exception" : ""}`} data-index={index}>
            <button type="button" class="look" aria-label={`Look closer at picture ${index + 1}`} onClick={() => look(index)}>
              <Picture image={member.imageId} alt="" />
            </button>
            <button
              type="button"
              class="digit"
              aria-pressed={exceptions.has(member.imageId)}
              aria-label={`Picture ${index + 1}: exception`}
              onClick={() => mark(group.key, member.imageId)}
            >
              ≠
            </button>
            {group.key !== NOISE && <span class="distance">{fixed(member.distance, 2)}</span>}
          </div>
        )}
      />
      <div class="answers" role="group" aria-label="Verdict">
        <button type="button" class="answer keep" onClick={() => judge(Side.KEEP)}>
          Keep … <kbd>K</kbd>
        </button>
        <button type="button" class="answer discard" onClick={() => judge(Side.DISCARD)}>
          Discard … <kbd>D</kbd>
        </button>
      </div>
      <VerdictDialog />
    </main>
  );
}

/** Where its pictures were before the last clustering. */
function Lineage({ group }: { group: Group }) {
  if (group.key === NOISE) return null;
  if (group.parents.length === 0) return <p class="muted">New: its pictures were in no cluster before</p>;
  const parents = group.parents.map((parent) => `#${parent.id} (${count(parent.images)})`);
  return <p class="muted">Came from {parents.join(", ")}</p>;
}
