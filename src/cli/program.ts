/** Runs a program's command line: finds the command, parses its flags, turns errors into exit statuses. */
import { Command, CommanderError, Option } from "commander";
import { errorText } from "../lib/errors.ts";
import { visibleLines } from "../lib/visible.ts";
import { normalizeArgv } from "./argv.ts";
import { type CliContext, type CommandSpec, type OptionSpec, type OptionValues, UsageError } from "./command.ts";
import { commandHelp, overviewHelp } from "./help.ts";

/** A program: its commands, and a line that says what it is. */
export interface ProgramSpec {
  readonly about: string;
  readonly version: string;
  readonly commands: readonly CommandSpec[];
  /** Commands of SPIRE's that this version does not have, such as `["jwt", "mint"]`. */
  readonly notInThisVersion?: readonly (readonly string[])[];
}

/** Runs `argv` (without node and script) and resolves to the exit status. Never throws for wrong use or expected failures. */
export async function runProgram(spec: ProgramSpec, argv: readonly string[], given: CliContext): Promise<number> {
  let status = 0;
  // What servers and agents say is printed, too; the terminal must not obey them.
  const context: CliContext = {
    ...given,
    out: (text) => given.out(visibleLines(text)),
    err: (text) => given.err(visibleLines(text)),
  };
  const root = build(spec, context, (code) => {
    status = code;
  });
  try {
    refuseMissing(spec, argv);
    await root.parseAsync(normalizeFor(spec, argv), { from: "user" });
    return status;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    if (error instanceof CommanderError || error instanceof UsageError) {
      context.err(
        `Error: ${usageText(error)}\nTry '${[context.program, ...commandWords(spec, argv), "-h"].join(" ")}'.\n`,
      );
      return 1;
    }
    context.err(`Error: ${errorText(error)}\n`);
    return 1;
  }
}

/** SPIRE's users type SPIRE's commands: better told that one is missing than that it is misspelt. */
function refuseMissing(spec: ProgramSpec, argv: readonly string[]): void {
  const words = argv.filter((word) => !word.startsWith("-"));
  const missing = spec.notInThisVersion?.find((path) => path.every((word, index) => words[index] === word));
  if (missing !== undefined)
    throw new UsageError(`'${missing.join(" ")}' is a command of SPIRE's that this version does not have`);
}

/** The parser speaks of `--flag`; the help, and whoever typed it, of `-flag`. */
function usageText(error: Error): string {
  return error.message
    .replace(/^error: /, "")
    .replace(/--(?=[A-Za-z])/g, "-")
    .replace(/\n\((.*)\)$/s, " ($1)");
}

/** The words at the beginning that name a command or group of the program. */
function commandWords(spec: ProgramSpec, argv: readonly string[]): string[] {
  const words: string[] = [];
  for (const word of argv) {
    const longer = [...words, word];
    if (!spec.commands.some(({ path }) => longer.every((part, index) => path[index] === part))) break;
    words.push(word);
  }
  return words;
}

function build(spec: ProgramSpec, context: CliContext, done: (status: number) => void): Command {
  const root = configure(new Command(context.program), context, () =>
    overviewHelp(context.program, [], spec.commands, spec.about),
  );
  root.version(spec.version, "--version", "print the version");
  for (const command of spec.commands) {
    const parent = groupOf(root, command.path.slice(0, -1), spec, context);
    const leaf = configure(new Command(command.path.at(-1)), context, () => commandHelp(context.program, command));
    for (const option of command.options) leaf.addOption(toOption(option));
    const isGroup = spec.commands.some((other) => isBelow(command.path, other.path));
    // What follows a group is the name of a command, and is told so where there is none.
    leaf.allowExcessArguments(isGroup);
    leaf.action(async (options: OptionValues) => {
      const [excess] = leaf.args;
      if (excess !== undefined) throw new UsageError(`unknown command '${excess}' after ${command.path.join(" ")}`);
      const implementation = await command.load();
      done(await implementation.run(options, context));
    });
    // A command may also be a group: `api fetch` and `api fetch x509`.
    const existing = parent.commands.find((other) => other.name() === leaf.name());
    if (existing !== undefined) throw new Error(`command declared twice: ${command.path.join(" ")}`);
    parent.addCommand(leaf);
  }
  return root;
}

function isBelow(path: readonly string[], other: readonly string[]): boolean {
  return other.length > path.length && path.every((word, index) => other[index] === word);
}

function groupOf(root: Command, path: readonly string[], spec: ProgramSpec, context: CliContext): Command {
  let group = root;
  for (const [depth, word] of path.entries()) {
    let next = group.commands.find((command) => command.name() === word);
    if (next === undefined) {
      const prefix = path.slice(0, depth + 1);
      next = configure(new Command(word), context, () =>
        overviewHelp(context.program, prefix, spec.commands, spec.about),
      );
      group.addCommand(next);
    }
    group = next;
  }
  return group;
}

function configure(command: Command, context: CliContext, help: () => string): Command {
  return (
    command
      .exitOverride()
      // A flag belongs to the command that it follows, also where a command is a group too.
      .enablePositionalOptions()
      .allowExcessArguments(false)
      // Errors are told once, in one form, by whoever called.
      .configureOutput({ writeOut: (text) => context.out(text), writeErr: () => {} })
      .configureHelp({ formatHelp: help })
      .helpCommand(false)
      .helpOption("-h, --help", "show the help")
      .showSuggestionAfterError(true)
  );
}

function toOption(spec: OptionSpec): Option {
  const option = new Option(
    spec.value === undefined ? `--${spec.name}` : `--${spec.name} <${spec.value}>`,
    spec.description,
  );
  if (spec.repeat === true) {
    option.argParser((value: string, previous: readonly string[] | undefined) => [...(previous ?? []), value]);
  }
  return option;
}

/** A name is a switch for one command and takes a value for another only by mistake, so the whole program shares one list. */
function normalizeFor(spec: ProgramSpec, argv: readonly string[]): string[] {
  const words = argv.filter((word) => !word.startsWith("-"));
  const command = spec.commands
    .filter(({ path }) => path.every((word, index) => words[index] === word))
    .sort((a, b) => b.path.length - a.path.length)[0];
  const options = command?.options ?? [];
  return normalizeArgv(
    argv,
    new Set(["help", "version", ...options.filter(({ value }) => value === undefined).map(({ name }) => name)]),
    new Set(options.filter(({ value }) => value !== undefined).map(({ name }) => name)),
  );
}
