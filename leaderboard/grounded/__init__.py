"""From a report and a CT to a page that shows where each sentence is: the only room that uses all the others."""
