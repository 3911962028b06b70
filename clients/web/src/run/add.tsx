import { useRef, useState } from "preact/hooks";

import { admin, images, patiently, requestId } from "../api";
import { useAnswer } from "../parts/answer";
import { complain, say } from "../parts/notices";
import { collection, linkTo } from "../session";
import { count, counted } from "../words";
import { cancel, doneOf, filesChosen, filesOf, progress, upload } from "./uploads";
import type { Named } from "./uploads";

/** Adding pictures: dropped here, chosen here, or found on the daemon's machine. */
export function AddPanel({ onAdded, onStarted }: { onAdded: () => void; onStarted: () => void }) {
  const [over, setOver] = useState(false);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const add = (found: Named[]) => {
    if (progress.value.running) say("Files are being added already.");
    else if (found.length === 0) say("There are no files in it.");
    else void upload(collection.value, found).then(onAdded);
  };
  const chosen = ({ currentTarget }: { currentTarget: HTMLInputElement }) => {
    if (currentTarget.files) add(filesChosen(currentTarget.files));
    currentTarget.value = "";
  };
  return (
    <section class="panel" aria-labelledby="add-title">
      <h2 id="add-title">Add pictures</h2>
      <div
        class={`drop ${over ? "over" : ""}`}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          if (event.dataTransfer) filesOf(event.dataTransfer.items).then(add, complain);
        }}
      >
        <p>Drop pictures or folders here, or</p>
        <div class="row">
          <button type="button" onClick={() => files.current?.click()}>
            Choose files
          </button>
          <button type="button" onClick={() => folder.current?.click()}>
            Choose a folder
          </button>
        </div>
        <p class="muted">JPEG, PNG, WebP, GIF, BMP, TIFF. They are only read; adding the same ones again changes nothing.</p>
        <input ref={files} class="sr" type="file" multiple tabIndex={-1} aria-label="Files to add" data-testid="files" onChange={chosen} />
        <input ref={folder} class="sr" type="file" multiple tabIndex={-1} aria-label="Folder to add" {...{ webkitdirectory: true }} onChange={chosen} />
      </div>
      <Uploading />
      <Import onStarted={onStarted} />
    </section>
  );
}

function Uploading() {
  const now = progress.value;
  if (now.total === 0) return null;
  const words = [
    `${count(now.added)} added`,
    now.present > 0 && `${count(now.present)} were there`,
    now.rejected > 0 && `${count(now.rejected)} can't be added`,
    now.failed > 0 && `${count(now.failed)} failed`,
  ].filter(Boolean);
  return (
    <div>
      <div class="row">
        <progress value={doneOf(now)} max={now.total} aria-label="Files added" />
        <span role="status">
          {count(doneOf(now))} of {counted(now.total, "file")}: {words.join(", ")}
        </span>
        {now.running && (
          <button type="button" onClick={cancel}>
            Stop
          </button>
        )}
        {!now.running && now.added > 0 && <a href={linkTo({ view: "review" })}>Review them</a>}
      </div>
      {now.problems.length > 0 && (
        <details>
          <summary>What was not added, and why</summary>
          <ul class="problems">
            {now.problems.map(({ name, detail }) => (
              <li>
                <bdi>{name}</bdi>: {detail}
              </li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}

/** Importing what lies on the daemon's machine. */
function Import({ onStarted }: { onStarted: () => void }) {
  const info = useAnswer(() => admin.getServerInfo({}), []);
  const [path, setPath] = useState("");
  const roots = info.value?.allowedRoots ?? [];
  const start = async () => {
    try {
      const request = { collection: collection.value, paths: [path.trim() || (roots[0] ?? "")], requestId: requestId() };
      await patiently(() => images.importSources(request));
      onStarted();
    } catch (error) {
      complain(error);
    }
  };
  if (roots.length === 0) {
    return (
      <p class="muted">
        To import folders of the daemon's own machine, start it with <code>--allowed-root DIR</code>; large previews come with it.
      </p>
    );
  }
  return (
    <form
      class="row"
      onSubmit={(event) => {
        event.preventDefault();
        void start();
      }}
    >
      <label class="grow">
        <span>Import a folder of the daemon's machine</span>
        <input list="roots" value={path} placeholder={roots[0]} onInput={({ currentTarget }) => setPath(currentTarget.value)} />
      </label>
      <datalist id="roots">
        {roots.map((root) => (
          <option value={root} />
        ))}
      </datalist>
      <button type="submit">Import</button>
    </form>
  );
}
