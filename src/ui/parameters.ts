import * as vscode from 'vscode';
import type { FlowDef, FlowParameter } from '../core/flow.ts';
import { type ParsedValue, parseParameter, requiredParameters } from '../core/parameters.ts';
import { isSecret, rememberedTexts, toRemember } from '../core/secrets.ts';
import { flowKey } from '../protocol/lsp.ts';

/**
 * Asks for parameters one after the other, each checked as it is typed and filled with what was given last time;
 * secrets are neither shown nor remembered. Without `all` only those that have no default. Undefined if the user
 * gave up.
 */
export async function askParameters(
  flow: FlowDef,
  uri: string,
  memory: vscode.Memento,
  all: boolean,
): Promise<Record<string, unknown> | undefined> {
  const asked = all ? flow.parameters : requiredParameters(flow.parameters);
  const key = `parameters:${flowKey(uri, flow)}`;
  const remembered = rememberedTexts(memory.get(key));
  const typed: Record<string, string> = {};
  const values: Record<string, unknown> = {};
  for (const [i, parameter] of asked.entries()) {
    const text = await ask(flow, parameter, remembered[parameter.name], i + 1, asked.length);
    if (text === undefined) return undefined;
    typed[parameter.name] = text;
    // An empty box keeps the flow's own default.
    if (text === '' && parameter.default !== undefined) continue;
    const parsed = parse(parameter, text);
    if (!parsed.ok) return undefined;
    values[parameter.name] = parsed.value;
  }
  if (asked.length > 0) await memory.update(key, toRemember(flow.parameters, remembered, typed));
  return values;
}

function ask(flow: FlowDef, parameter: FlowParameter, last: string | undefined, step: number, steps: number) {
  const type = parameter.annotation ? `: ${parameter.annotation}` : '';
  const of = steps > 1 ? ` (${step}/${steps})` : '';
  const secret = isSecret(parameter);
  return vscode.window.showInputBox({
    title: `${flow.name}${of}`,
    prompt:
      parameter.default === undefined
        ? `${parameter.name}${type} has no default: give a value`
        : `${parameter.name}${type}. Empty: ${parameter.default}`,
    value: secret ? '' : (last ?? ''),
    password: secret,
    ...(parameter.default !== undefined && { placeHolder: parameter.default }),
    ignoreFocusOut: true,
    validateInput: (text) => {
      if (text === '' && parameter.default !== undefined) return undefined;
      const parsed = parse(parameter, text);
      return parsed.ok ? undefined : parsed.message;
    },
  });
}

/** A secret is text as it was typed: a password of digits is no number. */
function parse(parameter: FlowParameter, text: string): ParsedValue {
  return isSecret(parameter) && text !== '' ? { ok: true, value: text } : parseParameter(parameter, text);
}
