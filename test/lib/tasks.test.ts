import { expect, test } from "vitest";
import { runTasks } from "../../src/lib/tasks.ts";

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

test("the first failure aborts the siblings, waits for them, and is thrown", async () => {
  const events: string[] = [];
  const cause = new Error("disk on fire");
  await expect(
    runTasks(new AbortController().signal, {
      fails: async () => {
        throw cause;
      },
      sibling: async (signal) => {
        if (!signal.aborted) await untilAborted(signal);
        await Promise.resolve();
        events.push("closed");
      },
    }),
  ).rejects.toBe(cause);
  expect(events).toEqual(["closed"]);
});

test("an abort from outside ends all tasks and is no failure", async () => {
  const controller = new AbortController();
  const running = runTasks(controller.signal, {
    quiet: untilAborted,
    rethrows: async (signal) => {
      await untilAborted(signal);
      signal.throwIfAborted();
    },
  });
  controller.abort(new Error("stop"));
  await running;
});

test("a failure while the others close is thrown, not swallowed", async () => {
  const controller = new AbortController();
  const running = runTasks(controller.signal, {
    broken: async (signal) => {
      await untilAborted(signal);
      throw new Error("could not close");
    },
  });
  controller.abort(new Error("stop"));
  await expect(running).rejects.toThrow("could not close");
});

test("a task that returns early leaves the others running", async () => {
  const controller = new AbortController();
  let ended = false;
  const running = runTasks(controller.signal, {
    early: async () => {},
    late: async (signal) => {
      await untilAborted(signal);
      ended = true;
    },
  });
  await Promise.resolve();
  expect(ended).toBe(false);
  controller.abort();
  await running;
  expect(ended).toBe(true);
});
