/** Reads of folders that decide who is admitted: what cannot be read admits nobody. */
import { AgentError } from "../../lib/errors.ts";

/** Runs a read of `path`. Throws `UNAVAILABLE` when it fails. */
export async function readable<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw new AgentError("UNAVAILABLE", `cannot read ${path}`, { cause: error });
  }
}
