/**
 * Names of users and groups from `/etc/passwd` and `/etc/group`. Other sources of the name service switch (LDAP,
 * SSSD, systemd) are not asked: their lookups may wait for the network, and for whoever answers there.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";

/** Looks names up; undefined for an unknown number. */
export interface NameLookup {
  user(uid: number): string | undefined;
  group(gid: number): string | undefined;
}

/** How old a look at the files may be, milliseconds. */
const RECHECK_MS = 1000;

/** Reads the files of `folder` again when they have changed, which is noticed within a second. */
export class FileNames implements NameLookup {
  readonly #users: NameFile;
  readonly #groups: NameFile;

  constructor(deps: { readonly clock: Clock }, folder = "/etc") {
    this.#users = new NameFile(join(folder, "passwd"), deps.clock);
    this.#groups = new NameFile(join(folder, "group"), deps.clock);
  }

  user(uid: number): string | undefined {
    return this.#users.name(uid);
  }

  group(gid: number): string | undefined {
    return this.#groups.name(gid);
  }
}

/** One file of lines `name:password:number:…`. */
class NameFile {
  readonly #path: string;
  readonly #clock: Clock;
  #names: ReadonlyMap<number, string> = new Map();
  #version = "";
  #checkedAt = Number.NEGATIVE_INFINITY;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  name(id: number): string | undefined {
    const now = this.#clock.monotonic();
    if (now - this.#checkedAt >= RECHECK_MS) {
      this.#checkedAt = now;
      this.#refresh();
    }
    return this.#names.get(id);
  }

  /** A file that cannot be read has no names. */
  #refresh(): void {
    try {
      const { ino, size, mtimeNs, ctimeNs } = statSync(this.#path, { bigint: true });
      const version = `${ino}:${size}:${mtimeNs}:${ctimeNs}`;
      if (version === this.#version) return;
      this.#names = parseNames(readFileSync(this.#path, "utf8"));
      this.#version = version;
    } catch {
      this.#names = new Map();
      this.#version = "";
    }
  }
}

/** The first line with a number counts, as for getpwuid(3). */
export function parseNames(text: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split("\n")) {
    const [name, , number] = line.split(":", 3);
    // `+` and `-` begin the compat entries of NIS.
    if (name === undefined || number === undefined || !/^\d+$/.test(number) || /^(?:$|[#+-])/.test(name)) continue;
    if (!names.has(Number(number))) names.set(Number(number), name);
  }
  return names;
}
