/** The `bundle` commands. */
import type { CommandSpec, OptionSpec } from "../command.ts";

const FEDERATED_ID: OptionSpec = { name: "id", value: "id", description: "The trust domain, or its SPIFFE ID." };

/** The commands; `admin` are the flags of every command that talks to the admin socket. */
export function bundleCommands(admin: readonly OptionSpec[]): readonly CommandSpec[] {
  const format = (description: string): OptionSpec => ({
    name: "format",
    value: "pem|spiffe",
    description,
    default: "pem",
  });
  const printed = format("PEM certificates, or the SPIFFE bundle as JSON.");
  return [
    {
      path: ["bundle", "show"],
      summary: "print the trust domain's bundle",
      options: [printed, ...admin],
      load: () => import("./bundle-show.ts"),
    },
    {
      path: ["bundle", "list"],
      summary: "print the bundles of other trust domains",
      options: [{ ...FEDERATED_ID, description: "Only the bundle of this trust domain." }, printed, ...admin],
      load: async () => ({ run: (await import("./bundle-federated.ts")).list }),
    },
    {
      path: ["bundle", "count"],
      summary: "count bundles, the trust domain's own among them",
      options: admin,
      load: async () => ({ run: (await import("./bundle-federated.ts")).count }),
    },
    {
      path: ["bundle", "set"],
      summary: "create or replace the bundle of another trust domain",
      description:
        "Reads the bundle from a file or from standard input. Workloads whose entries federate with the trust domain get it.",
      options: [
        FEDERATED_ID,
        { name: "path", value: "path", description: "The file with the bundle.", default: "standard input" },
        format("What the bundle is: PEM certificates, or a SPIFFE bundle as JSON."),
        ...admin,
      ],
      examples: [
        {
          line: "holdfast-server bundle set -id other.org -format spiffe -path o.json",
          does: "Trusts what another trust domain's server printed with `bundle show -format spiffe`:",
        },
      ],
      load: async () => ({ run: (await import("./bundle-federated.ts")).set }),
    },
    {
      path: ["bundle", "delete"],
      summary: "delete the bundle of another trust domain",
      options: [
        FEDERATED_ID,
        {
          name: "mode",
          value: "restrict|delete|dissociate",
          description:
            "What becomes of entries that federate with the trust domain: while there are any, nothing is deleted (restrict); they are deleted, too (delete); they stay and federate with it no more (dissociate).",
          default: "restrict",
        },
        ...admin,
      ],
      load: async () => ({ run: (await import("./bundle-federated.ts")).remove }),
    },
  ];
}
