/** Joins a plugin's configuration with how the program makes what it configures. */
import type { Plugin } from "../config/plugins.ts";

/** A configured node attestor that is not made yet. */
export interface NodeAttestorChoice<Deps, Attestor> {
  readonly name: string;
  /** What the plugin's own keys say. */
  readonly options: unknown;
  make(deps: Deps): Promise<Attestor>;
}

/** A row of a program's table: the plugin's keys, and what is made of them. */
export function choosing<Options, Deps, Attestor>(
  plugin: Plugin<Options>,
  make: (options: Options, deps: Deps) => Promise<Attestor>,
): Plugin<NodeAttestorChoice<Deps, Attestor>> {
  const { name } = plugin;
  return {
    ...plugin,
    build: (data, report) => {
      const options = plugin.build(data, report);
      return options === undefined ? undefined : { name, options, make: (deps) => make(options, deps) };
    },
  };
}
