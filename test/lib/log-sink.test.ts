import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { LogSink } from "../../src/lib/log-sink.ts";

/** A sink that takes as many bytes of each write as it is told; a negative number fails the write. */
function slowSink(takes: number[]): { readonly sink: LogSink; readonly written: () => string } {
  let written = "";
  const sink = new LogSink(undefined, (_, bytes) => {
    const take = Math.min(takes.shift() ?? bytes.length, bytes.length);
    if (take < 0) throw new Error("ENOSPC");
    written += Buffer.from(bytes.subarray(0, take)).toString();
    return take;
  });
  return { sink, written: () => written };
}

test("the rest of a line comes before the next one", () => {
  const { sink, written } = slowSink([4]);
  sink.write("first line\n");
  expect(written()).toBe("firs");
  sink.write("second\n");
  expect(written()).toBe("first line\nsecond\n");
  expect(sink.lost).toBe(0);
});

test("while a rest cannot be written, lines are lost, not cut", () => {
  const { sink, written } = slowSink([4, -1, 2, -1]);
  sink.write("first line\n");
  for (let count = 0; count < 3; count++) sink.write("lost\n");
  expect(sink.lost).toBe(3);
  sink.recover("3 lost\n");
  expect(sink.lost).toBe(0);
  sink.write("last\n");
  expect(written()).toBe("first line\n3 lost\nlast\n");
});

test("a notice that cannot be written is given again", () => {
  const { sink, written } = slowSink([-1, -1]);
  sink.write("lost\n");
  sink.recover("1 lost\n");
  expect(sink.lost).toBe(1);
  sink.recover("1 lost\n");
  expect(sink.lost).toBe(0);
  expect(written()).toBe("1 lost\n");
});

test("another file is opened in the place of the first, and one that cannot be is not", () => {
  const folder = mkdtempSync(join(tmpdir(), "sink-"));
  try {
    const [first, second] = [join(folder, "first"), join(folder, "second")];
    const sink = new LogSink(first);
    sink.write("1\n");
    sink.reopen(second);
    sink.write("2\n");
    expect(() => sink.reopen(join(folder, "missing/third"))).toThrow("cannot open the log file");
    sink.reopen();
    sink.write("3\n");
    sink.close();
    expect([readFileSync(first, "utf8"), readFileSync(second, "utf8")]).toEqual(["1\n", "2\n3\n"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
