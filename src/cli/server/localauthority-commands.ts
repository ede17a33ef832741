/** The commands of `localauthority`, for each kind of authorities. */
import type { CommandRun, CommandSpec, OptionSpec } from "../command.ts";
import type { AuthorityWord } from "./localauthority.ts";

type Implementation = typeof import("./localauthority.ts");

const KINDS: Readonly<Record<AuthorityWord, { readonly word: string; readonly made: string }>> = {
  x509: { word: "X.509", made: "a key and its CA certificate" },
  jwt: { word: "JWT", made: "a key" },
  wit: { word: "WIT", made: "a key" },
};

/** The commands; `admin` are the flags of every command that talks to the admin socket. */
export function localAuthorityCommands(admin: readonly OptionSpec[]): readonly CommandSpec[] {
  return (Object.keys(KINDS) as AuthorityWord[]).flatMap((which) => {
    const { word, made } = KINDS[which];
    const command = (
      verb: "show" | "prepare" | "activate" | "taint" | "revoke",
      summary: string,
      description: string,
      options: readonly OptionSpec[] = [],
    ): CommandSpec => ({
      path: ["localauthority", which, verb],
      summary,
      description,
      options: [...options, ...admin],
      load: async () => ({ run: implementation(await import("./localauthority.ts"), verb, which) }),
    });
    const named = (verb: string): readonly OptionSpec[] => [
      { name: "authorityID", value: "id", description: `The ${word} authority to ${verb}.` },
    ];
    return [
      command("show", `show what signs ${word}-SVIDs`, "Shows the active, the prepared and the newest old authority."),
      command(
        "prepare",
        `prepare the next ${word} authority`,
        `Makes ${made} and publishes it in the bundle; it signs nothing yet. One that was prepared before is replaced.`,
      ),
      command(
        "activate",
        `let the prepared ${word} authority sign`,
        "Give agents and workloads time to learn of it before. The active authority becomes the old one.",
        named("activate"),
      ),
      command(
        "taint",
        `have everything below an old ${word} authority issued anew`,
        "Marks the authority in the bundle; SVIDs that it signed stay valid until it is revoked.",
        named("taint"),
      ),
      command(
        "revoke",
        `stop trusting a tainted ${word} authority`,
        "Takes the authority out of the bundle; SVIDs that it signed are valid no more.",
        named("revoke"),
      ),
    ];
  });
}

function implementation(code: Implementation, verb: keyof Implementation, which: AuthorityWord): CommandRun {
  return code[verb](which);
}
