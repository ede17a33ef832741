/** The program pairs that are measured: ours, and SPIRE's when they are on `PATH`. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { PROGRAMS } from "../../scripts/lib/programs.ts";

/** A server and an agent. */
export interface Subject {
  readonly name: "holdfast" | "spire";
  /** Told apart from the other column's when the same programs stand in both. */
  readonly column: "ours" | "peer";
  readonly server: string;
  readonly agent: string;
}

/** Where our programs are: of this checkout, or of the folder given. */
export function holdfast(folder?: string): Subject {
  const programs =
    folder === undefined
      ? PROGRAMS
      : { server: join(folder, "holdfast-server"), agent: join(folder, "holdfast-agent") };
  return { name: "holdfast", column: "ours", ...programs };
}

/** SPIRE's programs on `PATH`, if both are there. */
export function spire(path: string = process.env.PATH ?? ""): Subject | undefined {
  const server = onPath("spire-server", path);
  const agent = onPath("spire-agent", path);
  return server === undefined || agent === undefined ? undefined : { name: "spire", column: "peer", server, agent };
}

function onPath(program: string, path: string): string | undefined {
  return path
    .split(delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, program))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
