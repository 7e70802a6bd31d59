// A plugin in JavaScript: `GET /v1/roman?n=1987` writes a number in Roman numerals.
//
// It handles requests of wasi:http itself. An app of the engine's own `fetch` event
// answers one request an instance, and needs `reuse = 1` in its section of lakehouse.toml.

import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } from "wasi:http/types@0.2.10";

const NUMERALS = [
  [1000, "M"], [900, "CM"], [500, "D"], [400, "CD"],
  [100, "C"], [90, "XC"], [50, "L"], [40, "XL"],
  [10, "X"], [9, "IX"], [5, "V"], [4, "IV"], [1, "I"],
];

function roman(number) {
  let text = "";
  for (const [value, numeral] of NUMERALS) {
    while (number >= value) {
      text += numeral;
      number -= value;
    }
  }
  return text;
}

function answer(path) {
  const wanted = new URL(path, "http://plugin").searchParams.get("n") ?? "";
  const number = Number(wanted);
  if (!Number.isInteger(number) || number < 1 || number > 3999) {
    const detail = `n is "${wanted}", which is no whole number from 1 to 3999`;
    return { status: 400, media: "application/problem+json", value: { type: "about:blank", title: "Bad Request", status: 400, detail } };
  }
  return { status: 200, media: "application/json", value: { number, roman: roman(number) } };
}

const encode = (text) => new TextEncoder().encode(text);

export const incomingHandler = {
  handle(request, responseOut) {
    const { status, media, value } = answer(request.pathWithQuery() ?? "/");
    const response = new OutgoingResponse(Fields.fromList([["content-type", encode(media)]]));
    response.setStatusCode(status);
    const body = response.body();
    ResponseOutparam.set(responseOut, { tag: "ok", val: response });
    const stream = body.write();
    stream.blockingWriteAndFlush(encode(JSON.stringify(value)));
    stream[Symbol.dispose]();
    OutgoingBody.finish(body, undefined);
  },
};
