/** Every message, field, enum, service and method of the wire-fact tables, no more and no less, against the compiled definitions. */

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFileRegistry, type FileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { beforeAll, describe, expect, test } from "vitest";
import { type Area, areas, nameResolver } from "./spec-areas.ts";
import { compiledEnum, compiledMessage, compiledService, specMessage, specService } from "./spec-lines.ts";
import { parseSpecTables, type SpecField, type SpecMethod, type SpecRow } from "./spec-tables.ts";

const root = join(import.meta.dirname, "../..");
const specFolder = join(root, "../shared/spec");
const buf = join(root, "node_modules/.bin/buf");

/** Types of the few fields whose table names no type anywhere. */
const impliedTypes: Readonly<Record<string, string>> = {
  filename: "string",
  inline_bytes: "bytes",
  inline_string: "string",
};

function compile(): FileRegistry {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-spec-"));
  try {
    const output = join(folder, "set.binpb");
    execFileSync(buf, ["build", "--as-file-descriptor-set", "--output", output], { cwd: root });
    return createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(output)));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function read(area: Area): { readonly rows: readonly SpecRow[]; readonly methods: readonly SpecMethod[] } {
  const tables = parseSpecTables(readFileSync(join(specFolder, area.document), "utf8"))
    .filter((table) => table.section === area.section)
    .filter((_table, index) => area.tables?.includes(index) ?? true);
  return { rows: tables.flatMap((table) => table.rows), methods: tables.flatMap((table) => table.methods) };
}

/** The type a field is given; where leaving it out is allowed, that of a field of the same name in the section. */
function fieldTypes(area: Area, rows: readonly SpecRow[]): (field: SpecField) => string {
  const known = new Map<string, string>();
  for (const { name, type } of rows.flatMap((row) => row.fields)) {
    if (type !== undefined) {
      known.set(name, type);
    }
  }
  return (field) => {
    const elsewhere = area.typesLeftOut ? (known.get(field.name) ?? impliedTypes[field.name]) : undefined;
    const type = field.type ?? elsewhere;
    if (type === undefined) {
      throw new Error(`no type for ${field.name}`);
    }
    return type;
  };
}

const reason = [
  !existsSync(specFolder) && "the wire-fact tables are not here",
  !existsSync(buf) && "buf is not installed",
].find((text) => text !== false);

describe.skipIf(reason !== undefined)(
  `definitions and wire-fact tables${reason ? ` (skipped: ${reason})` : ""}`,
  () => {
    let registry: FileRegistry;

    beforeAll(() => {
      registry = compile();
    });

    describe.each(areas)("$document, section $section, package $packages.0", (area) => {
      test("messages and enums", () => {
        const { rows } = read(area);
        const resolve = nameResolver(registry, area);
        const typeOf = fieldTypes(area, rows);

        const written: Record<string, string[]> = {};
        // Messages without a row of their own, explained in brackets behind a field.
        const inner: Record<string, string[]> = {};
        for (const row of rows) {
          const name = resolve(row.name);
          expect(written, `${name} is described twice`).not.toHaveProperty([name]);
          written[name] = row.kind === "enum" ? [...row.values] : specMessage(row, name, resolve, typeOf);
          for (const field of row.fields.filter((candidate) => candidate.inner.length > 0)) {
            inner[resolve(typeOf(field), name)] = field.inner.map((item) => `${item.tag} ${item.name}`);
          }
        }

        const compiled: Record<string, string[]> = {};
        for (const type of registry) {
          if (!area.packages.includes(type.file.proto.package)) {
            continue;
          }
          if (type.kind === "message" && type.typeName in inner) {
            inner[`compiled ${type.typeName}`] = type.fields.map((field) => `${field.number} ${field.name}`);
          } else if (type.kind === "message") {
            compiled[type.typeName] = compiledMessage(type);
          } else if (type.kind === "enum") {
            compiled[type.typeName] = compiledEnum(type);
          }
        }

        expect(Object.keys(written)).not.toHaveLength(0);
        expect(compiled).toStrictEqual(written);
        for (const [name, fields] of Object.entries(inner).filter(([key]) => !key.startsWith("compiled "))) {
          expect(inner[`compiled ${name}`], name).toStrictEqual(fields);
        }
      });

      test("services", () => {
        const { methods } = read(area);
        const compiled: Record<string, string[]> = {};
        for (const type of registry) {
          if (type.kind === "service" && area.packages.includes(type.file.proto.package)) {
            compiled[type.typeName] = compiledService(type);
          }
        }
        const written = specService(methods, nameResolver(registry, area));
        expect(compiled).toStrictEqual(area.service === undefined ? {} : { [area.service]: written });
      });
    });
  },
);
