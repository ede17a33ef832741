/** The `localauthority` commands of one kind of authorities, by one program on one server. */
import { admin, type Site } from "./support.ts";

type Status = "active" | "prepared" | "old";
type States = Partial<Record<Status, { authority_id: string; expires_at: string }>>;

export interface Authorities {
  readonly say: (verb: string, ...args: string[]) => Promise<string>;
  /** The ID of the one with that status. */
  readonly shown: (status: Status) => Promise<string>;
  /** Prepares the next and lets it sign; the authorities before and after. */
  readonly rotate: () => Promise<{ readonly before: string; readonly after: string }>;
}

export function authorities(site: Site, kind: "x509" | "jwt" | "wit", tool: string): Authorities {
  const say = (verb: string, ...args: string[]): Promise<string> =>
    admin(site, ["localauthority", kind, verb, ...args], tool);
  const shown = async (status: Status): Promise<string> => {
    const states = JSON.parse(await say("show", "-output", "json")) as States;
    const id = states[status]?.authority_id;
    if (id === undefined) throw new Error(`no authority is ${status}`);
    return id;
  };
  return {
    say,
    shown,
    rotate: async () => {
      const before = await shown("active");
      await say("prepare");
      const after = await shown("prepared");
      await say("activate", "-authorityID", after);
      return { before, after };
    },
  };
}
