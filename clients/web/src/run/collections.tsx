import { useState } from "preact/hooks";

import { collections, patiently, requestId } from "../api";
import { useAnswer } from "../parts/answer";
import { Dialog } from "../parts/dialog";
import { complain, say } from "../parts/notices";
import { collection, linkTo } from "../session";
import { count, counted, moment } from "../words";

const PAGE = 1000;

export function CollectionsPanel({ round, onChanged }: { round: number; onChanged: () => void }) {
  const found = useAnswer(() => collections.listCollections({ pageSize: PAGE }), [round]);
  const [name, setName] = useState("");
  const [leaving, setLeaving] = useState<{ name: string; images: bigint } | null>(null);
  const create = async () => {
    try {
      await patiently(() => collections.createCollection({ collection: name, requestId: requestId() }));
      setName("");
      location.hash = linkTo({ collection: name });
    } catch (error) {
      complain(error);
    }
    found.reload();
  };
  return (
    <section class="panel" aria-labelledby="collections-title">
      <h2 id="collections-title">Collections</h2>
      {found.failure && <p role="alert">{found.failure}</p>}
      <ul class="work">
        {found.value?.collections.map((one) => (
          <li key={one.name} class="row">
            <a href={linkTo({ collection: one.name })} aria-current={one.name === collection.value ? "true" : undefined}>
              {one.name}
            </a>
            <span class="muted grow">
              {counted(one.images, "picture")}, since {moment(one.createTime)}
            </span>
            <button type="button" aria-label={`${one.name === "default" ? "Empty …" : "Delete …"} ${one.name}`} onClick={() => setLeaving({ name: one.name, images: one.images })}>
              {one.name === "default" ? "Empty …" : "Delete …"}
            </button>
          </li>
        ))}
      </ul>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          void create();
        }}
      >
        <label class="grow">
          <span>A new one</span>
          <input
            value={name}
            required
            maxLength={64}
            pattern="[a-z0-9][a-z0-9_\-]*"
            title="a to z, 0 to 9, - and _"
            onInput={({ currentTarget }) => setName(currentTarget.value)}
          />
        </label>
        <button type="submit">Make</button>
      </form>
      {leaving && (
        <Deleting
          {...leaving}
          onClose={() => setLeaving(null)}
          onDone={() => {
            setLeaving(null);
            if (leaving.name === collection.value) location.hash = linkTo({ collection: "default" });
            found.reload();
            onChanged();
          }}
        />
      )}
    </section>
  );
}

interface DeletingProps {
  name: string;
  images: bigint;
  onClose: () => void;
  onDone: () => void;
}

/** Deletion can't be undone: the name has to be typed. */
function Deleting({ name, images, onClose, onDone }: DeletingProps) {
  const [typed, setTyped] = useState("");
  const remove = async () => {
    try {
      const gone = await patiently(() => collections.deleteCollection({ collection: name, requestId: requestId() }));
      say(`${counted(gone.images, "picture")} of ${name} forgotten.`);
      onDone();
    } catch (error) {
      complain(error);
    }
  };
  return (
    <Dialog label={`Delete ${name}`} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void remove();
        }}
      >
        <h2>Forget {count(images)} pictures?</h2>
        <p>
          All that culld knows of <b>{name}</b> goes: pictures, verdicts and log. This can't be taken back. Your own files are not touched.
        </p>
        <label class="stack">
          Type {name} to go on
          <input value={typed} autofocus autocomplete="off" onInput={({ currentTarget }) => setTyped(currentTarget.value)} />
        </label>
        <div class="row end">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="answer discard" disabled={typed !== name}>
            Forget them
          </button>
        </div>
      </form>
    </Dialog>
  );
}
