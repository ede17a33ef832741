/** Makes visible what a terminal would obey: text that others chose may be printed, and not do anything. */

/** Control characters and other invisible ones, among them those that turn the direction of writing. */
const INVISIBLE = /\p{C}|\p{Zl}|\p{Zp}/gu;

/** The text with each invisible character, line feeds too, written as `\uXXXX`: one line that means what it shows. */
export function visible(text: string): string {
  return text.replace(INVISIBLE, escapeUnits);
}

/** The same for text of several lines, which keeps its line feeds and tabs. */
export function visibleLines(text: string): string {
  return text.replace(INVISIBLE, (character) =>
    character === "\n" || character === "\t" ? character : escapeUnits(character),
  );
}

function escapeUnits(character: string): string {
  return Array.from({ length: character.length }, (_, index) => {
    return `\\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`;
  }).join("");
}
