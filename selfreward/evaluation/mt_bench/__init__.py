"""MT-Bench, graded answer by answer (Zheng et al. 2023, arXiv 2306.05685): two turns to a question, a judge's grade for each.

`files` reads the published forms, `answering` holds the chats, `judging` asks for grades, `table` takes them together,
`measure` does all of it in one folder.
"""
