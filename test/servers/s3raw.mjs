// Minimal SigV4 S3 client for raw probing: every header and every byte of the body is in the caller's hands. Library, no dependencies.
//   import { req, p, code } from './s3raw.mjs';
//   const r = await req('PUT', '/bucket/key', { body: 'hello', headers: { 'if-none-match': '*' } });   // { status, headers, body, ms, raw }
//   await p('label', req(...), full)     prints label, status, error code and (full) headers and body
// Environment: S3_ENDPOINT AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY (the env file that the server scripts write); S3_REGION=us-east-1
// Options of req: endpoint host headers query body payload (the x-amz-content-sha256 to claim) ak sk region date
//   unsigned, noLength, expect, wire (s => bytes really sent), agent, ca, servername
import http from "node:http";
import https from "node:https";
import { createHash, createHmac } from "node:crypto";
const E = process.env,
  H = (k, d) => createHmac("sha256", k).update(d).digest();
export const sha = (d) => createHash("sha256").update(d).digest("hex");
export const md5b64 = (d) => createHash("md5").update(d).digest("base64");
const enc = (s, slash) =>
  encodeURIComponent(s)
    .replace(/[!'()*]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase())
    .replace(/%2F/g, slash ? "%2F" : "/");
export const creds = { ak: E.AWS_ACCESS_KEY_ID, sk: E.AWS_SECRET_ACCESS_KEY };

export function sign({
  method,
  path,
  query = {},
  headers = {},
  body = "",
  payload,
  ak,
  sk,
  region = E.S3_REGION ?? "us-east-1",
  date = new Date(),
}) {
  const h = {};
  for (const k in headers) h[k.toLowerCase()] = String(headers[k]);
  const amz = date.toISOString().replace(/[:-]|\.\d+/g, ""),
    d8 = amz.slice(0, 8),
    scope = `${d8}/${region}/s3/aws4_request`;
  h["x-amz-date"] ??= amz;
  h["x-amz-content-sha256"] ??= payload ?? sha(body);
  const sh = Object.keys(h)
    .filter(
      (k) =>
        !["content-length", "expect", "connection", "transfer-encoding", "user-agent"].includes(k),
    )
    .toSorted();
  const q = Object.keys(query)
    .toSorted()
    .map((k) => enc(k, true) + "=" + enc(String(query[k]), true))
    .join("&");
  const cr = [
    method,
    enc(path),
    q,
    ...sh.map((k) => k + ":" + h[k].trim()),
    "",
    sh.join(";"),
    h["x-amz-content-sha256"],
  ].join("\n");
  const key = H(H(H(H("AWS4" + sk, d8), region), "s3"), "aws4_request");
  const sig = H(key, ["AWS4-HMAC-SHA256", amz, scope, sha(cr)].join("\n")).toString("hex");
  h.authorization = `AWS4-HMAC-SHA256 Credential=${ak}/${scope}, SignedHeaders=${sh.join(";")}, Signature=${sig}`;
  return { h, url: enc(path) + (q ? "?" + q : ""), sig, key, scope, amz };
}

export function req(method, path, o = {}) {
  const ep = new URL(o.endpoint ?? E.S3_ENDPOINT),
    host = o.host ?? ep.host,
    body = o.body ?? "";
  const s = o.unsigned
    ? { h: { host, ...o.headers }, url: path }
    : sign({ method, path, ...creds, ...o, headers: { host, ...o.headers }, body });
  const wire = o.wire ? o.wire(s) : body,
    headers = { ...s.h };
  if (!o.noLength && !headers["transfer-encoding"])
    headers["content-length"] = Buffer.byteLength(wire);
  return new Promise((res, rej) => {
    const t0 = performance.now();
    const r = (ep.protocol === "https:" ? https : http).request(
      {
        host: ep.hostname,
        port: ep.port,
        method,
        path: s.url,
        headers,
        agent: o.agent,
        ca: o.ca,
        servername: o.servername,
      },
      (m) => {
        const b = [];
        m.on("data", (x) => b.push(x));
        m.on("error", rej);
        m.on("end", () =>
          res({
            status: m.statusCode,
            headers: m.headers,
            body: Buffer.concat(b),
            ms: +(performance.now() - t0).toFixed(1),
            raw: m.rawHeaders,
          }),
        );
      },
    );
    r.on("error", rej);
    if (o.expect) {
      r.on("continue", () => r.end(wire));
      r.flushHeaders();
    } else r.end(wire);
  });
}
export const code = (r) => (/<Code>(.*?)<\/Code>/.exec(r.body.toString()) || [])[1];
export async function p(name, pr, full) {
  try {
    const r = await pr,
      b = r.body.toString();
    console.log(
      `${name}: ${r.status} ${code(r) ?? ""} ${full ? JSON.stringify(r.headers) + " " + b.slice(0, 700) : b.slice(0, 130).replace(/\n/g, " ")}`,
    );
    return r;
  } catch (e) {
    console.log(`${name}: EXC ${e.code} ${e.message}`);
  }
}
