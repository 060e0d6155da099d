import type { ClassDescription, ClassParameter } from '../core/classArguments.ts';

/** A cluster class for people, as Markdown: what its `cluster_kwargs` may be. @param path its import path */
export function classText(path: string, { kind, doc, parameters, open }: ClassDescription): string {
  const more = open
    ? ['It takes more than is listed here, such as options of its workers: see its documentation.']
    : [];
  const about = [`# ${path}`, doc || `A ${kind} without a description.`, ...more];
  const list = parameters.length > 0 ? parameters.map(line).join('\n') : 'It takes nothing.';
  return `${about.join('\n\n')}\n\n## cluster_kwargs\n\n${list}\n`;
}

function line({ name, required, annotation, choices, doc, ...of }: ClassParameter): string {
  const facts = [
    annotation && code(annotation),
    choices && `one of ${choices.map((choice) => code(JSON.stringify(choice))).join(', ')}`,
    required ? '**needed**' : of.default !== undefined && `default ${code(of.default)}`,
    `of ${of.of}`,
  ];
  const head = `- **${name}** · ${facts.filter(Boolean).join(' · ')}`;
  return doc ? `${head}\n  ${doc}` : head;
}

/** As code in Markdown, whatever it holds. */
function code(text: string): string {
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return longest > 0 ? `${fence} ${text} ${fence}` : `${fence}${text}${fence}`;
}
