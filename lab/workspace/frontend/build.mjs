// What a bundler does, in ten lines: a page, and a script that is called after its content.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import mustache from "mustache";

const script = readFileSync("src/app.js");
const name = `app-${createHash("sha256").update(script).digest("hex").slice(0, 8)}.js`;
mkdirSync("dist/assets", { recursive: true });
writeFileSync(`dist/assets/${name}`, script);
writeFileSync("dist/index.html", mustache.render(readFileSync("src/index.html", "utf8"), { script: `/assets/${name}` }));
