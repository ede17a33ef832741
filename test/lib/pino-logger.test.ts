import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type LogOptions, openLogger, type RootLogger } from "../../src/lib/pino-logger.ts";
import { FakeClock } from "../fakes/fake-clock.ts";

const TIME = "2026-01-02T15:04:05.000Z";
const clock = new FakeClock(Date.parse(TIME));

let folder: string;
let file: string;
const open: RootLogger[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-log-"));
  file = join(folder, "agent.log");
});

afterEach(() => {
  for (const logger of open.splice(0)) logger.close();
  rmSync(folder, { recursive: true });
});

function logger(options: Partial<LogOptions> = {}): RootLogger {
  const made = openLogger({ level: "info", format: "text", file, ...options }, { clock });
  open.push(made);
  return made;
}

function lines(path = file): readonly string[] {
  return readFileSync(path, "utf8").split("\n").slice(0, -1);
}

describe("text", () => {
  test("is SPIRE's", () => {
    const root = logger();
    root.info("Starting agent", { data_dir: "./.data", gone: undefined });
    root.named("manager").warn("Slow", { elapsed: 5n, selectors: ["unix:uid:0"] });
    root.error("Failed", { error: 'no "such" file' });
    expect(lines()).toEqual([
      `time="${TIME}" level=info msg="Starting agent" data_dir=./.data`,
      `time="${TIME}" level=warning msg=Slow elapsed=5 selectors="[unix:uid:0]" subsystem_name=manager`,
      String.raw`time="${TIME}" level=error msg=Failed error="no \"such\" file"`,
    ]);
  });
});

test("a value that somebody else chose fills no disk: it is cut, and says how much is missing", () => {
  const long = "a".repeat(5_000_000);
  const list = Array.from({ length: 100_000 }, (_, index) => `selector:${index}`);
  for (const format of ["text", "json"] as const) {
    const path = join(folder, format);
    const root = logger({ format, file: path });
    root.info("Refused", { error: long, exact: "b".repeat(8_192), selectors: list, none: [], long_item: [long, "x"] });
    const [line = ""] = lines(path);
    expect(line.length).toBeLessThan(40_000);
    expect(line).toContain("a… (4991808 more)");
    expect(line).toContain("b".repeat(8_192));
    expect(line).not.toContain("b…");
    expect(line).toMatch(/selector:\d+[", ]+… \(99\d\d\d more\)/);
    expect(line).toContain(`${"a".repeat(8_192)}… (4991808 more)`);
  }
});

describe("JSON", () => {
  test("has the keys that SPIRE's has", () => {
    const root = logger({ format: "json" });
    root.named("manager").warn("Slow", { elapsed: 2n ** 64n, selectors: ["unix:uid:0"], gone: undefined });
    expect(lines().map((line) => JSON.parse(line) as unknown)).toEqual([
      {
        time: TIME,
        level: "warning",
        msg: "Slow",
        subsystem_name: "manager",
        elapsed: "18446744073709551616",
        selectors: ["unix:uid:0"],
      },
    ]);
  });
});

describe.each(["text", "json"] as const)("both formats: %s", (format) => {
  test("fields do not take the place of the line's own keys", () => {
    logger({ format }).info("real", { msg: "forged", level: "forged", time: "forged" });
    const [line] = lines();
    expect(line).toContain("fields.msg");
    expect(line).toContain("fields.level");
    expect(line).toContain("fields.time");
    expect(line).toMatch(format === "json" ? /"msg":"real"/ : / msg=real /);
  });

  test("one call is one line, whatever it holds", () => {
    logger({ format }).info("a\nb", { k: "c\nd\r\u2028" });
    expect(lines()).toHaveLength(1);
  });

  test("levels are those configured, and change for everyone at once", () => {
    const root = logger({ format, level: "warn" });
    const named = root.named("x");
    named.info("no");
    expect(root.level).toBe("warn");
    root.setLevel("trace");
    expect(root.level).toBe("trace");
    named.trace("yes");
    named.debug("yes");
    root.setLevel("error");
    named.warn("no");
    named.error("yes");
    root.setLevel("fatal");
    named.error("no");
    root.setLevel("panic");
    expect(root.level).toBe("panic");
    named.error("no");
    expect(lines()).toHaveLength(3);
    expect(lines().every((line) => line.includes("yes"))).toBe(true);
  });

  test("lines name their source when asked", () => {
    const root = logger({ format, sourceLocation: true });
    function someFunction(): void {
      root.named("x").info("here");
    }
    someFunction();
    const [line] = lines();
    expect(line).toMatch(/pino-logger\.test\.ts:\d+/);
    expect(line).toContain("someFunction");
  });

  test("a full disk loses lines, never the process", () => {
    const root = logger({ format, file: "/dev/full" });
    for (let count = 0; count < 100; count++) root.error("lost", { count });
  });
});

describe("the file", () => {
  test("is appended to and not for everyone's eyes", () => {
    writeFileSync(file, "old\n");
    chmodSync(file, 0o640);
    logger().info("new");
    expect(lines()[0]).toBe("old");
    expect(lines()).toHaveLength(2);
    const fresh = join(folder, "fresh.log");
    logger({ file: fresh });
    expect(statSync(fresh).mode & 0o007).toBe(0);
  });

  test("is opened anew after it was rotated", () => {
    const root = logger();
    root.info("first");
    renameSync(file, `${file}.1`);
    root.info("second");
    expect(existsSync(file)).toBe(false);
    root.reopen();
    root.info("third");
    expect(lines(`${file}.1`)).toHaveLength(2);
    expect(lines()).toHaveLength(1);
  });

  test("that cannot be opened anew is kept", () => {
    const root = logger();
    root.info("first");
    renameSync(folder, `${folder}.away`);
    try {
      expect(() => root.reopen()).toThrow(expect.objectContaining({ code: "FAILED_PRECONDITION" }));
      root.info("second");
    } finally {
      renameSync(`${folder}.away`, folder);
    }
    expect(lines()).toHaveLength(2);
  });

  test("that cannot be opened at all is an error by name", () => {
    const path = join(folder, "no", "such.log");
    expect(() => logger({ file: path })).toThrow(
      expect.objectContaining({ code: "FAILED_PRECONDITION", message: `cannot open the log file ${path}` }),
    );
  });

  test("that is closed takes no more lines", () => {
    const root = logger();
    root.close();
    root.error("late");
    root.reopen();
    root.close();
    expect(lines()).toEqual([]);
  });
});

/** Runs code with a logger on standard output that nobody reads any more; resolves with its exit code and stderr. */
function withClosedPipe(code: string): Promise<{ readonly exit: number | null; readonly stderr: string }> {
  const script = `
    import { openLogger } from ${JSON.stringify(join(import.meta.dirname, "../../src/lib/pino-logger.ts"))};
    import { systemClock } from ${JSON.stringify(join(import.meta.dirname, "../../src/lib/clock.ts"))};
    const logger = openLogger({ level: "info", format: "text" }, { clock: systemClock });
    process.stdin.once("data", () => { ${code} process.exit(7); });
    logger.info("ready");`;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "pipe" });
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.stdout.once("data", () => {
      child.stdout.destroy();
      child.stdout.once("close", () => child.stdin.write("go\n"));
    });
    child.once("error", reject);
    child.once("close", (exit) => resolve({ exit, stderr }));
  });
}

describe("standard output", () => {
  test("a closed pipe loses lines, never the process", async () => {
    const outcome = await withClosedPipe(`for (let i = 0; i < 100; i++) logger.error("lost");`);
    expect(outcome).toEqual({ exit: 7, stderr: "" });
  });

  test("is where lines go without a file, and is not reopened or closed", () => {
    const root = openLogger({ level: "error", format: "text" }, { clock });
    root.info("not shown");
    root.reopen();
    root.close();
    expect(() => process.stdout.write("")).not.toThrow();
  });
});

test.each(["text", "json"] as const)("lost lines are told of once writing works again: %s", (format) => {
  symlinkSync("/dev/full", file);
  const root = logger({ format });
  for (let count = 0; count < 3; count++) root.info("lost");
  rmSync(file);
  root.reopen();
  root.info("kept");
  root.info("kept");
  const [notice, ...rest] = lines();
  expect(notice).toMatch(/Log lines could not be written/);
  expect(notice).toMatch(/"?count"?[=:]3/);
  expect(rest).toHaveLength(2);
});
