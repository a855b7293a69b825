"""Whom a rule means: conditions in the style of MongoDB queries, with GrowthBook's meaning.

A condition is a JSON object. Its entries all have to hold; each names an attribute (`country`, or
`device.os` for what is inside; `roles.0` and `roles.length` look into an array) and says what the
value must be: a literal, or an object of operators.

    {"country": {"$in": ["NO", "SE"]}, "age": {"$gte": 18}, "$not": {"$segment": "staff"}}

- Around conditions: `$and $or $nor $not`, and ours: `{"$segment": name or [names]}`, where one of
  the segments holds. An empty `$or` holds for everybody.
- One value: `$eq $ne $in $nin $ini $nini $inGroup $notInGroup $lt $lte $gt $gte $exists $type`,
  `$not`; text by `$regex $regexi $notRegex $notRegexi`, versions by `$veq $vne $vlt $vlte $vgt
  $vgte`. The names that end in `i` ignore case.
- Arrays: `$elemMatch $all $alli $size`; `$in` and its kin hold where any element is listed.

A missing attribute is null. Values of different types are never equal nor in order: `1`, `"1"` and
true are three values. What GrowthBook 4.0.0 does with a condition is done here too, but:

1. Patterns are RE2's, which cannot be made to run away: no look-around, no back-references. Classes
   such as `[[:alpha:]]` or those for digits, words and spaces mean ASCII, and `$` the very end, as
   in JavaScript rather than Python. The patterns' length and size, and the text's, are bounded.
2. A part that is not understood is undecided, also where GrowthBook would fail the whole
   condition (a `$not` of a number) or give a fixed answer (a pattern that is none): it holds for
   nobody, negated or not, and leaves the other parts as they are.
3. `$savedGroup` is not known; `$segment` and `$inGroup` stand for it.
4. A name at the outside that begins with `$` and is no operator reads the attribute of that name
   if there is one, else it is undecided, since a later release may mean an operator.
5. What follows a `+` in a version is left out even if it contains line breaks.
6. More than 32 levels, or 1,000 names and members, are not followed: what is beyond is undecided.
"""

from flags.conditions.compiler import compile_condition
from flags.conditions.place import Predicate

__all__ = ["Predicate", "compile_condition"]
