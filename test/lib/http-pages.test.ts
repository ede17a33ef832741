import { afterEach, expect, test } from "vitest";
import { errorCode } from "../../src/lib/errors.ts";
import { HttpPages, type Page } from "../../src/lib/http-pages.ts";
import { silentLogger } from "../../src/lib/log.ts";

const open: HttpPages[] = [];
afterEach(async () => {
  for (const pages of open.splice(0)) await pages[Symbol.asyncDispose]();
});

async function serve(pages: Record<string, Page>, port = 0): Promise<number> {
  const server = new HttpPages({
    host: "127.0.0.1",
    port,
    pages: new Map(Object.entries(pages)),
    purpose: "health_checks",
    log: silentLogger,
  });
  open.push(server);
  return server.listen();
}

test("serves its pages and nothing else", async () => {
  const port = await serve({ "/live": async () => ({ status: 200, contentType: "application/json", body: "{}" }) });
  const at = (path: string, init?: RequestInit): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`, init);
  const live = await at("/live?x=1");
  expect([live.status, live.headers.get("content-type"), await live.text()]).toEqual([200, "application/json", "{}"]);
  expect((await at("/other")).status).toBe(404);
  expect((await at("/live", { method: "POST" })).status).toBe(405);
});

test("a page that fails is a 500 without a word of why", async () => {
  const port = await serve({
    "/live": async () => {
      throw new Error("secret");
    },
  });
  const response = await fetch(`http://127.0.0.1:${port}/live`);
  expect([response.status, await response.text()]).toEqual([500, ""]);
});

test("a port in use is named", async () => {
  const port = await serve({});
  const failure = await serve({}, port).then(
    () => undefined,
    (error: unknown) => error,
  );
  open.pop();
  expect(errorCode(failure)).toBe("IN_USE");
  expect(String(failure)).toContain(`health_checks: 127.0.0.1:${port}`);
});
