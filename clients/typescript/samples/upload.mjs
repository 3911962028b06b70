// An upload handler: POST a picture to /NAME and learn whether it is worth keeping.
//   node upload.mjs            (CULLD_SERVER, CULLD_TOKEN and PORT from the environment)
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import { AddStatus, Culld, DecisionKind } from "culld";

const culld = Culld.connect();

const server = createServer(async (request, response) => {
  try {
    const key = decodeURIComponent(request.url.slice(1));
    const outcome = await culld.addImage({ key, data: await buffer(request), tags: ["upload"] });
    const refused = outcome.status === AddStatus.REJECTED || outcome.status === AddStatus.FAILED;
    response.writeHead(refused ? 422 : 201, { "content-type": "application/json" });
    const decision = DecisionKind[outcome.decision?.decision ?? 0];
    response.end(JSON.stringify(refused ? { error: outcome.detail } : { id: outcome.imageId, decision }));
  } catch (error) {
    response.writeHead(503).end(error.message);
  }
});
server.listen(process.env.PORT ?? 8080, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));

for await (const change of culld.watchDecisions()) {
  if (change.type !== "decided" || change.decision.decision !== DecisionKind.DISCARD) continue;
  const { sourceKeys } = (await culld.decision(change.imageId, { full: true })) ?? {};
  console.log(`not needed: ${sourceKeys?.join(", ")}`);
}
