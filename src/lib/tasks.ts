/** Supervises long-running loops: the first failure aborts the siblings, and everything is awaited. */

/** Something that runs until its signal aborts, and settles only when all it opened is closed. */
export interface Runnable {
  run(signal: AbortSignal): Promise<void>;
}

/**
 * Runs all tasks at once. When one rejects, the others are aborted with that cause and awaited, then the
 * cause is thrown. A task that returns early is no failure. When `signal` aborts, all are aborted and
 * awaited, and the call resolves.
 */
export async function runTasks(
  signal: AbortSignal,
  tasks: Readonly<Record<string, (signal: AbortSignal) => Promise<void>>>,
): Promise<void> {
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  let failure: { readonly cause: unknown } | undefined;
  try {
    await Promise.all(
      Object.values(tasks).map(async (task) => {
        try {
          await task(controller.signal);
        } catch (error) {
          if (failure !== undefined || (controller.signal.aborted && isAbort(error, controller.signal))) return;
          failure = { cause: error };
          controller.abort(error);
        }
      }),
    );
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  if (failure !== undefined) throw failure.cause;
}

/** Whether `error` is merely the echo of the signal's abort. */
export function isAbort(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted && (error === signal.reason || (error instanceof Error && error.name === "AbortError"));
}
