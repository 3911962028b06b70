// TLS with a certificate on either side.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createSecureServer } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { connectNodeAdapter } from "@connectrpc/connect-node";

import { Culld } from "../dist/index.js";
import { AdminService } from "../dist/proto.js";

const found = spawnSync("openssl", ["version"]).status === 0;
const skip = found || process.env.CI === "true" ? false : "there is no openssl to make certificates with";

function certificate(t) {
  const folder = mkdtempSync(join(tmpdir(), "culld-tls-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const subject = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"];
  const files = ["-keyout", join(folder, "key.pem"), "-out", join(folder, "cert.pem")];
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", ...subject, ...files], { stdio: "pipe" });
  return { folder, cert: readFileSync(join(folder, "cert.pem"), "utf8"), key: readFileSync(join(folder, "key.pem")) };
}

test("a daemon that asks for a certificate gets it, and a stranger is not trusted", { skip }, async (t) => {
  const { folder, ...own } = certificate(t);
  const stranger = certificate(t);
  let authorization;
  const getServerInfo = (_, context) => {
    authorization = context.requestHeader.get("authorization");
    return { version: "1" };
  };
  const handler = connectNodeAdapter({ routes: ({ service }) => service(AdminService, { getServerInfo }) });
  const server = createSecureServer({ ...own, ca: own.cert, requestCert: true, rejectUnauthorized: true }, handler);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const address = `https://127.0.0.1:${server.address().port}`;
  const ask = async (tls) => {
    const culld = Culld.connect({ address, tls, token: () => "t", retry: { patienceMs: 0 } });
    return culld.serverInfo().then(({ version }) => version).finally(() => culld.close());
  };
  assert.equal(await ask({ ca: own.cert, ...own }), "1");
  assert.equal(authorization, "Bearer t");
  await assert.rejects(ask({ ca: own.cert }), { name: "UnavailableError" });
  for (const name of ["CULLD_CA", "CULLD_CLIENT_CERT"]) process.env[name] = join(folder, "cert.pem");
  process.env.CULLD_CLIENT_KEY = join(folder, "key.pem");
  assert.equal(await ask(), "1");
  await assert.rejects(ask({ ca: stranger.cert, ...own }), { name: "UnavailableError", retryable: false });
});
