// Texts as searches compare them, and the escapes of search values (https://hl7.org/fhir/R4/search.html#escaping).

// "Normalized by case and combining characters"; runs of white space count as one space.
export function normalise(text) {
  return text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase().split(/\s+/u).filter(Boolean).join(' ');
}

// By code points, as UTF-8 bytes are ordered.
export function compareTexts(one, other) {
  const [left, right] = [[...one], [...other]];
  for (let at = 0; at < Math.min(left.length, right.length); at += 1) {
    const difference = left[at].codePointAt(0) - right[at].codePointAt(0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

// Splits at a separator that no backslash precedes; what is left is still escaped.
export function split(text, separator) {
  const parts = [''];
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '\\' && at + 1 < text.length) {
      parts[parts.length - 1] += text[at] + text[at + 1];
      at += 1;
    } else if (text[at] === separator) {
      parts.push('');
    } else {
      parts[parts.length - 1] += text[at];
    }
  }
  return parts;
}

export const unescape = (text) => text.replace(/\\([\\$,|])/g, '$1');

export const escape = (text) => text.replace(/[\\$,|]/g, '\\$&');
