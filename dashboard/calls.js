// Calls that a person makes: what the service refuses is told in its own words.

import { authorization } from "./key.js";
import { errorOf } from "./stream.js";

export class Refusal extends Error {}

async function call(method, path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      cache: "no-store",
      headers: { ...authorization(), ...(body ? { "Content-Type": "application/json" } : {}) },
      body: body ? JSON.stringify(body) : undefined,
    });
  } catch {
    throw new Refusal("The service cannot be reached. Nothing is known to have happened: look before you try again.");
  }
  if (!answer.ok) throw new Refusal(await errorOf(answer));
  return answer.json();
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}) => call("POST", path, body);

const RANKS = { viewer: 0, trader: 1, admin: 2 };

export function may(role, least) {
  return role !== undefined && RANKS[role] >= RANKS[least];
}
