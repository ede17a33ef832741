/** Refuses a Node that is too old, before anything newer is loaded. */

/** Exits with 1 and says what to do when the running Node is older than the package needs. */
export function assertNodeVersion(): void {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 24 || (major === 24 && minor >= 15)) return;
  process.stderr.write(
    `holdfast needs Node 24.15 or newer; this is ${process.versions.node}. 'npm install' in the package's folder brings one.\n`,
  );
  process.exit(1);
}
