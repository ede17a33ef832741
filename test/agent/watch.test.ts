/** Following a server's announcements, and asking again of a server that had none. */
import { expect, test } from "vitest";
import { AgentHealth } from "../../src/agent/health.ts";
import type { ServerClient, WatchMessage } from "../../src/agent/server-client.ts";
import { ServerLink } from "../../src/agent/server-link.ts";
import { Watcher } from "../../src/agent/watch.ts";
import { AgentError } from "../../src/lib/errors.ts";
import type { X509Svid } from "../../src/spiffe/svid.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { RecordingLogger } from "./harness.ts";

const MINUTE = 60_000;
const MESSAGE: WatchMessage = { entriesRevision: 1n, bundleRevision: 1n, spreadMs: 0, heartbeat: false };

test("a server without announcements is asked again, for it may have been replaced behind the same connection", async () => {
  const clock = new FakeClock();
  const log = new RecordingLogger();
  const health = new AgentHealth(clock, log);
  const server = { announces: false, asked: 0 };
  const client = {
    async *watchAuthorized(signal: AbortSignal): AsyncGenerator<WatchMessage> {
      server.asked++;
      if (!server.announces) throw new AgentError("UNIMPLEMENTED", "no such service");
      yield MESSAGE;
      await clock.sleep(Number.MAX_SAFE_INTEGER, signal);
    },
    close: () => {},
  } as unknown as ServerClient;
  using link = new ServerLink({ clock, log, health, connect: () => client });
  link.setIdentity({} as X509Svid);
  const random = { bytes: () => new Uint8Array(), unit: () => 0.5 };
  const watcher = new Watcher({ clock, random, log, health, link, onChange: () => {} });
  const stop = new AbortController();
  const run = watcher.run(stop.signal).catch(() => {});

  await clock.parked(1);
  expect(server.asked).toBe(1);
  await clock.advance(9 * MINUTE);
  expect(server.asked).toBe(1);
  await clock.advance(2 * MINUTE);
  expect(server.asked).toBe(2);
  expect(log.lines.map(({ message }) => message)).toEqual(["The server announces no changes; polling"]);
  server.announces = true;
  await clock.advance(10 * MINUTE);
  expect(watcher.live).toBe(true);
  stop.abort();
  await run;
});
