/** Writes compiled definitions and table rows as the same lines of text, so that comparing them shows what differs. */

import { type DescEnum, type DescField, type DescMessage, type DescService, ScalarType } from "@bufbuild/protobuf";
import type { SpecField, SpecMethod, SpecRow } from "./spec-tables.ts";

type Resolve = (written: string, scope?: string) => string;

const scalarName = (scalar: ScalarType): string => ScalarType[scalar].toLowerCase();

function compiledType(field: DescField): string {
  switch (field.fieldKind) {
    case "map": {
      const value = field.mapKind === "scalar" ? scalarName(field.scalar) : (field.message ?? field.enum).typeName;
      return `map<${scalarName(field.mapKey)},${value}>`;
    }
    case "scalar":
      return scalarName(field.scalar);
    case "enum":
      return field.enum.typeName;
    case "message":
      return field.message.typeName;
    case "list":
      return field.listKind === "scalar" ? scalarName(field.scalar) : (field.message ?? field.enum).typeName;
  }
}

const fieldLine = (tag: number, name: string, type: string, marks: readonly (string | false)[]): string =>
  [`${tag} ${name}: ${type}`, ...marks.filter((mark) => mark !== false)].join(" ");

export const compiledMessage = (message: DescMessage): string[] =>
  message.fields
    .toSorted((a, b) => a.number - b.number)
    .map((field) =>
      fieldLine(field.number, field.name, compiledType(field), [
        field.fieldKind === "list" && "repeated",
        field.proto.proto3Optional && "optional",
        field.deprecated && "deprecated",
        field.oneof !== undefined && `oneof ${field.oneof.name}`,
      ]),
    );

export const specMessage = (
  row: SpecRow,
  scope: string,
  resolve: Resolve,
  typeOf: (field: SpecField) => string,
): string[] =>
  row.fields
    .toSorted((a, b) => a.tag - b.tag)
    .map((field) =>
      fieldLine(field.tag, field.name, resolve(typeOf(field), scope), [
        field.repeated && "repeated",
        field.optional && "optional",
        field.deprecated && "deprecated",
        field.oneof !== undefined && `oneof ${field.oneof}`,
      ]),
    );

export const compiledEnum = (item: DescEnum): string[] => item.values.map((value) => `${value.name}=${value.number}`);

const shapes = {
  unary: "unary",
  server_streaming: "server stream",
  bidi_streaming: "bidi",
  client_streaming: "client stream",
};

export const compiledService = (service: DescService): string[] =>
  service.methods
    .map(({ name, methodKind, input, output }) => `${name} ${shapes[methodKind]} ${input.typeName} ${output.typeName}`)
    .toSorted();

export const specService = (methods: readonly SpecMethod[], resolve: Resolve): string[] =>
  methods
    .map(({ name, stream, request, response }) => `${name} ${stream} ${resolve(request)} ${resolve(response)}`)
    .toSorted();
