import { expect, test } from "vitest";
import { startServer } from "../../server/harness.ts";
import { command } from "./harness.ts";

test("the level is told, changed and reset", async () => {
  const server = await startServer();
  const say = (words: string) => command(server, ["logger", ...words.split(" ")]);
  const levels = (now: string) => ({
    status: 0,
    stdout: `Logger Level : ${now}\nLaunch Level : info\n\n`,
    stderr: "",
  });
  expect(await say("get")).toEqual(levels("info"));
  expect(await say("set -level DEBUG")).toEqual(levels("debug"));
  expect(await say("set -level warn")).toEqual(levels("warning"));
  expect(await say("set -level panic")).toEqual(levels("panic"));
  expect(await say("get -output json")).toEqual({
    status: 0,
    stdout: '{"current_level":"PANIC","launch_level":"INFO"}\n',
    stderr: "",
  });
  expect(await say("reset")).toEqual(levels("info"));
  expect(await say("set")).toMatchObject({
    status: 1,
    stderr: expect.stringContaining("-level is required") as string,
  });
  expect((await say("set -level loud")).stderr).toContain('the value "loud" is not a valid setting');
  expect(await say("get")).toEqual(levels("info"));
});
