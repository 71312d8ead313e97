"""`selfreward verify`: says in words what is wrong with a run on disk."""

import typer

from selfreward.cli.common import AsJson, RunArgument, exit_codes, print_json

MOST_NAMED = 5


def verify(run: RunArgument, as_json: AsJson = False) -> None:
    """Check a run: hashes of its files, ids from file to file, counts, models. Exit code 3 where something is wrong."""
    with exit_codes():
        from selfreward.text import visible
        from selfreward.verifying import verify as check

        found = check(run)
        if as_json:
            print_json(found)
        else:
            print(f"{found['files']} files, {found['bytes']:,} bytes compared with what they were when finished")
            if found["torn_lines_cut"]:
                print(f"{found['torn_lines_cut']} lines that a kill had torn were cut off and made again")
            if names := found["not_covered"]:
                more = " ..." if len(names) > MOST_NAMED else ""
                named = visible(", ".join(names[:MOST_NAMED]))
                print(
                    f"not covered, of a stage or a launch that did not end well, or not a run's: {len(names)} files: {named}{more}"
                )
            for note in found["notes"]:
                print(visible(note))
            for problem in found["problems"]:
                print(f"WRONG: {visible(problem)}")
            print(f"{len(found['problems'])} problems" if found["problems"] else "nothing is wrong")
        if found["problems"]:
            raise typer.Exit(3)
