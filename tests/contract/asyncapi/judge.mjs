// Reads a JSON list of AsyncAPI documents from standard input; prints what the reference parser holds against each, as JSON.
import { createRequire } from "node:module";
import process from "node:process";
import { text } from "node:stream/consumers";

const { Parser } = createRequire(`${process.cwd()}/package.json`)("@asyncapi/parser");
const verdicts = [];
for (const source of JSON.parse(await text(process.stdin))) {
  const { document, diagnostics } = await new Parser().parse(source);
  const faults = diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path: path.join("/"), message }));
  verdicts.push({ valid: document !== undefined, faults });
}
console.log(JSON.stringify(verdicts));
