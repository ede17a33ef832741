/** Help texts laid out like man pages. */
import type { CommandSpec, OptionSpec } from "./command.ts";

const WIDTH = 80;
const INDENT = "    ";

/** The help of one command. */
export function commandHelp(program: string, command: CommandSpec): string {
  const name = [program, ...command.path].join(" ");
  const sections = [
    section("NAME", [`${name} - ${command.summary}`]),
    section("SYNOPSIS", [command.options.length > 0 ? `${name} [options]` : name]),
    command.description === undefined ? "" : section("DESCRIPTION", command.description.split("\n\n")),
    command.options.length === 0 ? "" : `OPTIONS\n${command.options.map(optionHelp).join("\n")}`,
    command.examples === undefined
      ? ""
      : `EXAMPLES\n${command.examples.map(({ line, does }) => `${wrap(does, INDENT)}\n${INDENT}${INDENT}${line}\n`).join("\n")}`,
    section("EXIT STATUS", ["0 on success, 1 on failure or wrong use."]),
  ];
  return sections.filter((text) => text !== "").join("\n");
}

/** The overview: all commands below `prefix`. */
export function overviewHelp(
  program: string,
  prefix: readonly string[],
  commands: readonly CommandSpec[],
  about: string,
): string {
  const below = commands.filter((command) => prefix.every((word, index) => command.path[index] === word));
  const names = below.map((command) => command.path.join(" "));
  const column = Math.max(...names.map((name) => name.length)) + 2;
  const list = below
    .map((command, index) => `${INDENT}${(names[index] ?? "").padEnd(column)}${command.summary}`)
    .join("\n");
  return [
    section("NAME", [`${[program, ...prefix].join(" ")} - ${about}`]),
    section("SYNOPSIS", [`${[program, ...prefix].join(" ")} <command> [options]`]),
    `COMMANDS\n${list}\n`,
    section("SEE ALSO", [`${program} <command> -h for the options of a command. Long options take one dash or two.`]),
  ].join("\n");
}

function section(title: string, paragraphs: readonly string[]): string {
  return `${title}\n${paragraphs.map((paragraph) => wrap(paragraph, INDENT)).join("\n\n")}\n`;
}

function optionHelp(option: OptionSpec): string {
  const notes = [
    option.repeat === true ? "May be given several times." : "",
    option.default === undefined ? "" : `Default: ${option.default}.`,
  ];
  const text = [option.description, ...notes].filter((part) => part !== "").join(" ");
  const head = option.value === undefined ? `-${option.name}` : `-${option.name} <${option.value}>`;
  return `${INDENT}${head}\n${wrap(text, `${INDENT}${INDENT}`)}\n`;
}

function wrap(text: string, indent: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && indent.length + line.length + 1 + word.length > WIDTH) {
      lines.push(indent + line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, indent + line].join("\n");
}
