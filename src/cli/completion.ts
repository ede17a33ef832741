/** `completion`: prints a completion script for a shell, made from the commands themselves. */
import type { CommandSpec } from "./command.ts";
import { text, UsageError } from "./command.ts";

/** The `completion` command of a program. */
export function completionCommand(program: string, commands: readonly CommandSpec[]): CommandSpec {
  return {
    path: ["completion"],
    summary: "print a completion script for your shell",
    description: `Load it with: source <(${program} completion -shell bash)`,
    options: [{ name: "shell", value: "bash|zsh", description: "The shell to complete for.", default: "bash" }],
    load: async () => ({
      run: async (options, context) => {
        const shell = text(options, "shell", "bash");
        if (shell !== "bash" && shell !== "zsh") throw new UsageError(`-shell is "bash" or "zsh", not "${shell}"`);
        context.out(completionScript(program, commands, shell));
        return 0;
      },
    }),
  };
}

/** The script: a table of what may follow each command, looked up by the words typed so far. */
export function completionScript(program: string, commands: readonly CommandSpec[], shell: "bash" | "zsh"): string {
  const name = `_${program.replaceAll("-", "_")}`;
  const table = new Map<string, Set<string>>();
  const follow = (path: readonly string[], word: string): void => {
    const key = path.join(" ");
    table.set(key, (table.get(key) ?? new Set()).add(word));
  };
  for (const { path, options } of commands) {
    for (const [depth, word] of path.entries()) follow(path.slice(0, depth), word);
    for (const option of options) follow(path, `-${option.name}`);
  }
  const cases = [...table].map(([path, words]) => `    "${path}") words="${[...words].join(" ")}" ;;`).join("\n");
  const zsh = shell === "zsh" ? "autoload -U +X bashcompinit && bashcompinit\n" : "";
  return `${zsh}${name}() {
  local path="" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) break ;; esac
    path="\${path:+$path }$word"
  done
  case "$path" in
${cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F ${name} ${program}
`;
}
