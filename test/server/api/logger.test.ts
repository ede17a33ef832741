import { expect, test } from "vitest";
import { LoggerService } from "../../../src/gen/spire/api/server/logger/v1/logger.ts";
import { LogLevel } from "../../../src/gen/spire/api/types/logger.ts";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import type { LogLevel as LevelName } from "../../../src/lib/log-level.ts";
import { FakeLevel } from "../../fakes/fake-level.ts";
import { call, failure, startServer } from "../harness.ts";

async function start(level: LevelName) {
  const logLevel = new FakeLevel(level);
  return { server: await startServer({ deps: { logLevel } }), logLevel };
}

test("the level changes at run time, and the launch level is kept", async () => {
  const { server, logLevel } = await start("warn");
  const launchLevel = LogLevel.WARN;
  expect(await call(server.admin, LoggerService.getLogger, {})).toEqual({ currentLevel: LogLevel.WARN, launchLevel });
  for (const [name, newLevel] of Object.entries(LogLevel)) {
    if (newLevel === LogLevel.UNSPECIFIED) continue;
    const answer = await call(server.admin, LoggerService.setLogLevel, { newLevel });
    expect(answer).toEqual({ currentLevel: newLevel, launchLevel });
    expect(logLevel.level).toBe(name.toLowerCase());
  }
  expect(await call(server.admin, LoggerService.getLogger, {})).toEqual({ currentLevel: LogLevel.TRACE, launchLevel });
  expect(await call(server.admin, LoggerService.resetLogLevel, {})).toEqual({ currentLevel: launchLevel, launchLevel });
  expect(logLevel.level).toBe("warn");
  expect(server.lines).toContainEqual(
    expect.objectContaining({
      message: "Changing the log level",
      fields: { subsystem_name: "api", old_log_level: "trace", new_log_level: "warn" },
    }),
  );
});

test("a level that there is not is refused and changes nothing", async () => {
  const { server, logLevel } = await start("info");
  const refused = async (newLevel: number) =>
    await failure(call(server.admin, LoggerService.setLogLevel, { newLevel: newLevel as LogLevel }));
  expect(await refused(LogLevel.UNSPECIFIED)).toMatchObject({
    code: GrpcCode.INVALID_ARGUMENT,
    details: "newLevel value cannot be LogLevel_UNSPECIFIED",
  });
  for (const number of [8, -1, 2 ** 31 - 1]) {
    expect(await refused(number)).toMatchObject({
      code: GrpcCode.INVALID_ARGUMENT,
      details: "unsupported log level",
    });
  }
  expect(logLevel.level).toBe("info");
});
