// Code of a user under the strictest settings: what it uses has to have the types that the README says.

import { AddStatus, type AddResult, type Change, Culld, type CulldError, DecisionKind, NotFoundError } from "culld";
import { DecisionView, type GetStatsResponse } from "culld/proto";

export async function use(token: string): Promise<bigint> {
  using culld = Culld.connect({ address: "https://culld.example:7357", tls: { ca: "PEM" }, token: async () => token });
  const results: AddResult[] = [];
  for await (const result of culld.addImages(["a.jpg", new Uint8Array(1), { path: "b", tags: ["t"] }], { maxImages: 10 })) results.push(result);
  const added: number = results.filter(({ status }) => status === AddStatus.ADDED).length;
  const clustering = await (await culld.recluster({ algorithm: { case: "dbscan", value: { eps: 0.3 } } })).wait();
  for await (const cluster of culld.clusters({ clusteringId: clustering.clusteringId })) await culld.keep({ clusterId: cluster.clusterId });
  const follow = async (changes: AsyncIterable<Change>): Promise<void> => {
    for await (const change of changes) if (change.type === "decided" && change.decision.decision === DecisionKind.KEEP) return;
  };
  await follow(culld.watchDecisions({ filter: { defects: ["blurred"], addedAfter: new Date() } }));
  const stats: GetStatsResponse = await culld.stats().catch((error: CulldError) => {
    throw error instanceof NotFoundError ? new RangeError(error.reason) : error;
  });
  const size: number = await culld.exportCollection({ signal: AbortSignal.timeout(1000), onProgress: (bytes: number) => void bytes }).toFile("a.tar");
  const { collection, images } = await culld.in("copy").importCollection(culld.exportCollection(), { onProgress: ({ events }) => void events });
  if (collection.images === BigInt(images)) await culld.importCollection(new Blob(["tar"]).stream(), { timeoutMs: size });
  await culld.services.decisions.batchGetDecisions({ view: DecisionView.FULL, sourceKeys: ["k"] });
  return stats.images + BigInt(added);
}
