/**
 * A loader for a handful of JavaScript files with requests answered by us: nothing global is patched, and nothing else of
 * the process can be affected.
 *
 * @since 0.1.0
 */
import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { compileFunction } from "node:vm"

/**
 * Answers a request for a module: with its exports, or with nothing to have the file itself loaded.
 *
 * @typedef {(request: string, names: ReadonlyArray<string>) => unknown} Answer `names` are those that an `import` takes;
 *   none for a CommonJS `require`
 */

/**
 * Makes a function that loads the JavaScript file at an absolute path, once, and returns its exports.
 *
 * Files may be CommonJS, or ES modules of the plain form that compilers write. A relative request that is not answered loads
 * the file it names (`.js` may be left out); any other is an error.
 *
 * @param {Answer} answer
 * @returns {(path: string) => any}
 */
export const moduleLoader = (answer) => {
  /** @type {Map<string, { exports: any }>} */
  const modules = new Map()

  /** @param {string} path */
  const load = (path) => {
    const present = modules.get(path)
    if (present !== undefined) return present.exports
    const module = { exports: {} }
    modules.set(path, module)
    const source = toCommonJs(readFileSync(path, "utf8"), path)
    const run = compileFunction(source, ["exports", "require", "module", "__filename", "__dirname"], { filename: path })
    run(module.exports, requireFrom(dirname(path)), module, path, dirname(path))
    return module.exports
  }

  /** @param {string} folder */
  const requireFrom = (folder) => (/** @type {string} */ request, /** @type {ReadonlyArray<string>} */ names = []) => {
    const answered = answer(request, names)
    if (answered !== undefined) return answered
    if (request.startsWith(".")) return load(join(folder, request.endsWith(".js") ? request : `${request}.js`))
    throw new Error(`Unexpected request for ${request} from ${folder}`)
  }

  return load
}

/** @param {string} names the inside of `import { … }` */
const nameList = (names) => names.split(",").map((name) => name.trim()).filter((name) => name !== "")

/** @param {string} specifiers @param {string} request */
const importNames = (specifiers, request) => {
  const names = nameList(specifiers)
  const imported = names.map((name) => name.split(" as ")[0])
  return `const { ${names.join(", ").replaceAll(" as ", ": ")} } = require("${request}", ${JSON.stringify(imported)});`
}

/** @param {string} specifiers */
const exportNames = (specifiers) =>
  nameList(specifiers).map((name) => {
    const [local, exported = local] = name.split(" as ")
    return `exports.${exported} = ${local};`
  }).join(" ")

/**
 * Rewrites the imports and exports of an ES module, line for line; CommonJS passes unchanged.
 *
 * @param {string} source
 * @param {string} path for the error when a statement has a form that is not known
 * @returns {string}
 */
export const toCommonJs = (source, path) => {
  const rewritten = source
    .replace(/^\/\/# sourceMappingURL=.*$/m, "")
    .replace(/^import \{([^}]*)\} from '([^']+)';/gm, (_, names, request) => importNames(names, request))
    .replace(/^import \* as (\w+) from '([^']+)';/gm, (_, name, request) => `const ${name} = require("${request}", ["${name}"]);`)
    .replace(/^import '([^']+)';/gm, (_, request) => `require("${request}");`)
    .replace(/^export \* from '([^']+)';/gm, (_, request) => `Object.assign(exports, require("${request}"));`)
    .replace(/^export var (\w+);/gm, (_, name) => `var ${name}; Object.defineProperty(exports, "${name}", { get: () => ${name} });`)
    .replace(/^export const (\w+) =/gm, (_, name) => `const ${name} = exports.${name} =`)
    .replace(/^export function (\w+)/gm, (_, name) => `exports.${name} = ${name}; function ${name}`)
    .replace(/^export class (\w+)/gm, (_, name) => `const ${name} = exports.${name} = class ${name}`)
    .replace(/^export \{([^}]*)\};/gm, (_, names) => exportNames(names))
  const left = /^(?:import|export)\b.*$/m.exec(rewritten)
  if (left !== null) throw new Error(`${path} has a statement of an unexpected form: ${left[0]}`)
  return rewritten
}
