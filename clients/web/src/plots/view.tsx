// Plots: what lies behind a clustering.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { useEffect, useState } from "preact/hooks";

import { clusterings, patiently, requestId } from "../api";
import type { Clustering, ParametersSchema } from "../gen/culld/v1/clustering_pb";
import { useAnswer } from "../parts/answer";
import { complain } from "../parts/notices";
import { collection, linkTo, reviewer } from "../session";
import { counted, moment } from "../words";
import { CardPanel } from "./card";
import { Curve } from "./curve";
import { GrowthPanel } from "./growth";
import { ReachabilityPlot } from "./reachability";

const PAGE = 100;

async function cluster(parameters: MessageInitShape<typeof ParametersSchema>): Promise<void> {
  try {
    await patiently(() => clusterings.recluster({ collection: collection.value, parameters, actor: reviewer.value, requestId: requestId() }));
    location.hash = linkTo({ view: "run" });
  } catch (error) {
    complain(error);
  }
}

export function PlotsView() {
  const name = collection.value;
  const listed = useAnswer(() => clusterings.listClusterings({ collection: name, pageSize: PAGE }), [name]);
  const all = listed.value?.clusterings ?? [];
  const [chosen, setChosen] = useState("");
  useEffect(() => {
    if (!chosen) setChosen(String(all.find((one) => one.active)?.clusteringId ?? all[0]?.clusteringId ?? ""));
  }, [all.length]);
  return (
    <main class="run">
      <h1 class="sr">Plots</h1>
      <div class="plots">
        <div>
          <GrowthPanel />
          <CardPanel onDbscan={(eps, minPoints) => void cluster({ algorithm: { case: "dbscan", value: { eps, minPoints } } })} />
        </div>
        <section class="panel" aria-labelledby="clustering-title">
          <h2 id="clustering-title">Behind a clustering</h2>
          {listed.failure && <p role="alert">{listed.failure}</p>}
          {listed.value && all.length === 0 && (
            <p>
              There is none yet. <a href={linkTo({ view: "run" })}>Cluster the pictures</a>
            </p>
          )}
          {all.length > 0 && (
            <label>
              <span class="sr">Which</span>
              <select value={chosen} onChange={({ currentTarget }) => setChosen(currentTarget.value)}>
                {all.map((one) => (
                  <option key={String(one.clusteringId)} value={String(one.clusteringId)}>
                    {`#${one.clusteringId} ${one.algorithm}, ${counted(one.clusters, "cluster")}, ${moment(one.createTime)}${one.active ? ", active" : ""}`}
                  </option>
                ))}
              </select>
            </label>
          )}
          {chosen && <Behind key={chosen} id={BigInt(chosen)} />}
        </section>
      </div>
    </main>
  );
}

/** The plots of one clustering. */
function Behind({ id }: { id: bigint }) {
  const name = collection.value;
  const found = useAnswer(() => clusterings.getClustering({ collection: name, clusteringId: id }), [name, id]);
  const clustering = found.value?.clustering;
  if (found.failure) return <p role="alert">{found.failure}</p>;
  if (!clustering) return <p class="muted">…</p>;
  return (
    <>
      {clustering.algorithm === "optics" && <Optics clustering={clustering} />}
      {clustering.kDistances.length > 0 && <Curve distances={clustering.kDistances} knee={clustering.knee} />}
      {clustering.algorithm !== "optics" && clustering.kDistances.length === 0 && <p class="muted">This algorithm looks at no neighbours: it has no curve.</p>}
      <ul>
        {clustering.explanation.map((line) => (
          <li>{line}</li>
        ))}
      </ul>
    </>
  );
}

function Optics({ clustering }: { clustering: Clustering }) {
  const used = clustering.parameters?.algorithm;
  const minPoints = used?.case === "optics" ? used.value.minPoints : undefined;
  const clusterSo = (eps: number) =>
    void cluster({ algorithm: { case: "optics", value: { extraction: { case: "eps", value: eps }, ...(minPoints === undefined ? {} : { minPoints }) } } });
  return <ReachabilityPlot clustering={clustering} onCluster={clusterSo} />;
}
